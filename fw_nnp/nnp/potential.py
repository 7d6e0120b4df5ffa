"""What every model is: atomic energies in, energy, forces and stress out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..core.specs import ModelSpec
from .batch import AtomBatch


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """Energies, forces and stresses of a batch.

    Attributes
    ----------
    energy
        (B,) eV, float64.
    forces
        (A, 3) eV/Å.
    stress
        (B, 3, 3) eV/Å³, positive in tension; meaningless where the volume is.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor


class _MinusReverse(torch.autograd.Function):
    """x - x[:, reverse]; a pair's reverse has the pair as its own, so the gradient is the same."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, reverse: Tensor) -> Tensor:
        ctx.save_for_backward(reverse)
        return rows - rows.index_select(1, reverse)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (reverse,) = ctx.saved_tensors
        return gradient - gradient.index_select(1, reverse), None


class Potential(nn.Module):
    """Base of all models; a subclass writes `atomic_energies` and may write `sensitivities`.

    Parameters
    ----------
    spec
        Architecture.
    elements
        Sorted element symbols; species are indices into them.
    """

    reference: Tensor

    def __init__(self, spec: ModelSpec, elements: list[str]) -> None:
        super().__init__()
        self.spec = spec
        self.elements = list(elements)
        self.cutoff = spec.cutoff
        self.register_buffer("reference", torch.zeros(len(elements), dtype=torch.float64))

    def prepare(self, batch: AtomBatch) -> AtomBatch:
        """Append what depends on the geometry alone; training may keep the result."""
        return batch

    def adapt(self, batch: AtomBatch) -> None:
        """Fit scales and offsets of the features to a typical unprepared batch, once."""

    def atomic_energies(self, batch: AtomBatch) -> Tensor:
        """(A,) eV without reference energies; differentiable in `batch.pairs[:, :3]`."""
        raise NotImplementedError

    def energies_and_pair_forces(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        """Atomic energies (A,) and g = dE/d(vector) of every pair, (A, 3, J) in eV/Å.

        The general way, by differentiating `atomic_energies`; models whose derivative can be
        written out do so, because training then needs no second differentiation.
        """
        with torch.enable_grad():
            vectors = batch.vectors.detach().requires_grad_()
            pairs = torch.cat([vectors, batch.pairs[:, 3:]], dim=1)
            energies = self.atomic_energies(replace(batch, pairs=pairs))
            (slopes,) = torch.autograd.grad(energies.sum(), vectors, create_graph=self.training)
        return energies, slopes

    def forward(self, batch: AtomBatch) -> Prediction:
        """Energy, forces and stress of a prepared batch.

        With g_ij = dE_i/dr_ij: F_i = sum_j (g_ij - g_ji), and the virial of a structure is
        sum_ij r_ij (x) g_ij.
        """
        energies, slopes = self.energies_and_pair_forces(batch)
        total = energies.double() + self.reference[batch.species]
        energy = total.new_zeros(batch.n_structures).index_add(0, batch.structure, total)

        rows = slopes.transpose(0, 1).flatten(1)
        net: Tensor = _MinusReverse.apply(rows, batch.reverse.flatten())
        forces = net.view(3, batch.n_atoms, -1).sum(2).T

        virials = (batch.vectors @ slopes.transpose(1, 2)).flatten(1)
        virial = virials.new_zeros(batch.n_structures, 9).index_add(0, batch.structure, virials)
        volumes = batch.volumes.to(virial.dtype)
        virial = virial.view(-1, 3, 3)
        stress = 0.5 * (virial + virial.transpose(1, 2)) / volumes[:, None, None]
        return Prediction(energy=energy, forces=forces, stress=stress)

    def describe(self) -> dict[str, Any]:
        """Everything but the numbers: what `artefact.load` needs to build the model again."""
        return {"model": self.spec.model_dump(mode="json"), "elements": self.elements}
