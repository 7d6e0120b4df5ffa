"""Errors in physical units, the loss made of them, and their root mean squares."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fw_nnp.core.specs import LossWeights
from fw_nnp.core.units import GPA, VOIGT

from .potential import Prediction

QUANTITIES = ("energy", "forces", "stress")
SCALES = {"energy": 1000.0, "forces": 1000.0, "stress": 1.0}
"""From the units of the loss (eV/atom, eV/Å, GPa) to those of reports (meV/atom, meV/Å, GPa)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """Labels of a batch, the fixed baseline taken off; absent ones are zero with a zero mask.

    Attributes
    ----------
    energy, n_atoms
        (B,) eV, and number of atoms.
    forces, has_forces
        (A, 3) eV/Å, and (A,) 1 where labelled.
    stress, has_stress
        (B, 3, 3) eV/Å³, and (B,) 1 where labelled.
    """

    energy: Tensor
    n_atoms: Tensor
    forces: Tensor
    has_forces: Tensor
    stress: Tensor
    has_stress: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """Sums of squared errors and how many components they are of: energy, forces, stress.

    Units eV/atom, eV/Å, GPa. `squares` (3,) carries the gradient; `counts` (3,).
    """

    squares: Tensor
    counts: Tensor

    def loss(self, weights: LossWeights) -> Tensor:
        """Weighted sum of the mean squares of what is labelled."""
        factors = torch.tensor([weights.energy, weights.forces, weights.stress]).double()
        return (factors * self.squares / self.counts.clamp(min=1.0)).sum()

    def rmse(self) -> dict[str, float | None]:
        """Root mean squares in meV/atom, meV/Å and GPa; None without labels."""
        result: dict[str, float | None] = {}
        for name, square, count in zip(QUANTITIES, self.squares, self.counts, strict=True):
            value = SCALES[name] * float(square / count) ** 0.5 if count > 0 else None
            result[name] = value
        return result


def errors(prediction: Prediction, targets: Targets) -> Errors:
    """Squared errors of a batch, of all members where there are several."""
    energy = (prediction.energy - targets.energy) / targets.n_atoms
    forces = (prediction.forces - targets.forces) * targets.has_forces[:, None]
    stress = (prediction.stress - targets.stress) * (targets.has_stress / GPA)[:, None, None]
    voigt = torch.stack([stress[..., a, b] for a, b in VOIGT], dim=-1)
    squares = [energy.square().sum(), forces.square().sum(), voigt.square().sum()]
    masks = (torch.ones(len(targets.energy)), targets.has_forces, targets.has_stress)
    counts = [size * mask.double().sum() for size, mask in zip((1, 3, 6), masks, strict=True)]
    members = energy.numel() // len(targets.energy)
    return Errors(
        squares=torch.stack([square.double() for square in squares]),
        counts=members * torch.stack(counts),
    )


def unusable(prediction: Prediction, targets: Targets, structure: Tensor) -> list[int]:
    """Indices of the structures whose squared error is not finite."""
    energy = ((prediction.energy - targets.energy) / targets.n_atoms).square()
    stress = (prediction.stress - targets.stress).square().sum(dim=(-2, -1))
    bad = ~torch.isfinite(energy + stress).view(-1, len(targets.energy)).all(0)
    forces = (prediction.forces - targets.forces).square().sum(-1).view(-1, len(structure))
    bad[structure[~torch.isfinite(forces).all(0)]] = True
    return torch.nonzero(bad)[:, 0].tolist()
