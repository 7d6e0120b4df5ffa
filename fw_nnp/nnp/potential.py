"""What every model is: atomic energies in, energy, forces and stress out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fw_nnp.core.specs import ModelSpec

from .batch import AtomBatch, structures


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


class Potential(nn.Module):
    """Base of all models; a subclass writes `atomic_energies` and may write out `evaluate`.

    Parameters
    ----------
    spec
        Architecture.
    elements
        Sorted element symbols; species are indices into them.
    seed
        Of the random numbers at the start.
    """

    reference: Tensor

    def __init__(self, spec: ModelSpec, elements: list[str], seed: int) -> None:
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

    def evaluate(self, batches: Sequence[AtomBatch]) -> tuple[Tensor, Tensor, Tensor]:
        """Atomic energies (A,), forces (A, 3) and virials (A, 3, 3) of prepared batches.

        The general way, by differentiating `atomic_energies` once more in training; models
        whose derivative can be written out do so, which is several times faster.
        """
        energies, forces, virials = [], [], []
        for batch in batches:
            energy, slopes = self._pair_forces_by_autograd(batch)
            force, virial = forces_and_virials(slopes, batch)
            energies.append(energy)
            forces.append(force)
            virials.append(virial)
        return torch.cat(energies), torch.cat(forces), torch.cat(virials)

    def _pair_forces_by_autograd(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            vectors = batch.vectors.detach().requires_grad_()
            pairs = torch.cat([vectors, batch.pairs[:, 3:]], dim=1)
            energies = self.atomic_energies(replace(batch, pairs=pairs))
            (slopes,) = torch.autograd.grad(energies.sum(), vectors, create_graph=self.training)
        return energies, slopes

    def forward(self, batches: Sequence[AtomBatch]) -> Prediction:
        """Energy, forces and stress of every structure of prepared batches."""
        energies, forces, virials = self.evaluate(batches)
        structure = structures(batches)
        species = torch.cat([batch.species for batch in batches])
        volumes = torch.cat([batch.volumes for batch in batches])
        total = energies.double() + self.reference[species]
        energy = total.new_zeros(len(volumes)).index_add(0, structure, total)
        virial = virials.new_zeros(len(volumes), 3, 3).index_add(0, structure, virials)
        virial = 0.5 * (virial + virial.transpose(1, 2))
        stress = virial / volumes.to(virial.dtype)[:, None, None]
        return Prediction(energy=energy, forces=forces, stress=stress)


def forces_and_virials(slopes: Tensor, batch: AtomBatch) -> tuple[Tensor, Tensor]:
    """Forces (A, 3) and atomic virials (A, 3, 3) from g_ij = dE_i/dr_ij, (A, 3, J).

    F_i = sum_j (g_ij - g_ji), where g_ji sits in the reverse slot; the virial of atom i is
    sum_j r_ij (x) g_ij, and its sum over atoms dE/d(strain).
    """
    rows = slopes.transpose(0, 1).flatten(1)
    net = rows - rows.index_select(1, batch.reverse.flatten())
    forces = net.view(3, batch.n_atoms, -1).sum(2).T
    return forces, batch.vectors @ slopes.transpose(1, 2)
