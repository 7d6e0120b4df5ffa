"""What every model is: atomic energies in, energy, forces and stress out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from fw_nnp.core.errors import SpecError
from fw_nnp.core.specs import AnyModelSpec

from . import pair_sums
from .batch import AtomBatch
from .fixed import FixedTerms
from .heads import Heads

Precision = Literal["single", "double"]
_DTYPES: dict[str, torch.dtype] = {"single": torch.float32, "double": torch.float64}


def dtype_of(precision: Precision) -> torch.dtype:
    """float32 or float64.

    Raises
    ------
    SpecError
        Another word.
    """
    if precision not in _DTYPES:
        raise SpecError(f"unknown precision '{precision}'", remedy=f"it is {' or '.join(_DTYPES)}")
    return _DTYPES[precision]


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

    Those of the members of a committee have one more axis in front.
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

    smoothness: ClassVar[int] = 3
    """Derivatives of the energy that are continuous where a neighbour crosses the cutoff."""

    reference: Tensor
    """(Z,) eV per element, or (heads, Z)."""
    fixed: FixedTerms
    """What is added to the network; set by whoever builds the model."""

    def __init__(self, spec: AnyModelSpec, elements: list[str], seed: int) -> None:
        super().__init__()
        self.spec = spec
        self.elements = list(elements)
        self.cutoff = spec.cutoff
        shape = (len(spec.heads), len(elements)) if spec.heads else (len(elements),)
        self.register_buffer("reference", torch.zeros(shape, dtype=torch.float64))
        self.head = spec.heads[-1] if spec.heads else ""

    def use_head(self, name: str) -> None:
        """Let this head answer from now on; without heads the only name is empty."""
        self.head = name
        for module in self.modules():
            if isinstance(module, Heads):
                module.used = name

    def set_precision(self, precision: Precision) -> Self:
        """Calculate in float32 or float64; reference energies stay in float64."""
        reference = self.reference.double()
        self.to(dtype_of(precision))
        self.reference = reference
        return self

    @property
    def reference_energies(self) -> Tensor:
        """(Z,) eV, of the head in use."""
        return self.reference[self.spec.heads.index(self.head)] if self.head else self.reference

    def adapt(self, batch: AtomBatch) -> None:
        """Fit scales and offsets of the features to a typical batch, once."""

    def roughness(self) -> dict[str, Tensor]:
        """Names of parameters -> how fast what they are factors of varies; others are at zero."""
        return {}

    def find_constants(self) -> None:
        """Find what is kept once found: it must not be found while a program is traced."""

    def atomic_energies(self, batch: AtomBatch) -> Tensor:
        """(A,) eV without reference energies; differentiable in `batch.vectors`."""
        raise NotImplementedError

    def pair_gradients(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        """Atomic energies (A,) and g_ij = dE_i/dr_ij (E, 3) eV/Å."""
        training = torch.is_grad_enabled() and self.training
        with torch.enable_grad():
            vectors = batch.vectors.detach().requires_grad_()
            energies = self.atomic_energies(replace(batch, vectors=vectors))
            (g,) = torch.autograd.grad(energies.sum(), vectors, create_graph=training)
        return energies if training else energies.detach(), g

    def evaluate(self, batch: AtomBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Atomic energies (A,), forces (A, 3) and virials (A, 3, 3).

        The general way, by differentiating `atomic_energies` once more in training; models
        whose derivative can be written out do so, which is several times faster.
        """
        energies, g = self.pair_gradients(batch)
        return energies, *pair_sums.forces_and_virials(g, batch)

    def evaluate_members(self, batch: AtomBatch) -> tuple[Tensor, Tensor, Tensor]:
        """As `evaluate`, for every member of a committee: one more axis in front, of M members."""
        energies, forces, virials = self.evaluate(batch)
        return energies[None], forces[None], virials[None]

    def forward(self, batch: AtomBatch) -> Prediction:
        """Energy, forces and stress of every structure of a batch."""
        return self.of_structures(batch, *self.evaluate(batch))

    def members(self, batch: AtomBatch) -> Prediction:
        """The same of every member of a committee; one member if it is none."""
        return self.of_structures(batch, *self.evaluate_members(batch))

    def of_structures(
        self, batch: AtomBatch, energies: Tensor, forces: Tensor, virials: Tensor
    ) -> Prediction:
        """What `evaluate` gives for atoms, for structures."""
        n, members = batch.n_structures, energies.shape[:-1]
        total = energies.double() + self.reference_energies[batch.species]
        energy = total.new_zeros(*members, n).index_add(-1, batch.structure, total)
        virials = 0.5 * (virials + virials.mT)
        virial = virials.new_zeros(*members, n, 3, 3).index_add(-3, batch.structure, virials)
        stress = virial / batch.volumes.to(virial.dtype)[:, None, None]
        return Prediction(energy=energy, forces=forces, stress=stress)
