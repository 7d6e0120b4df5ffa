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
    """Squared errors of a batch."""
    energy = (prediction.energy - targets.energy) / targets.n_atoms
    forces = (prediction.forces - targets.forces) * targets.has_forces[:, None]
    stress = (prediction.stress - targets.stress) * (targets.has_stress / GPA)[:, None, None]
    voigt = torch.stack([stress[:, a, b] for a, b in VOIGT], dim=1)
    return Errors(
        squares=torch.stack(
            [energy.square().sum(), forces.square().sum().double(), voigt.square().sum().double()]
        ),
        counts=torch.stack(
            [
                torch.tensor(len(energy)).double(),
                3.0 * targets.has_forces.sum().double(),
                6.0 * targets.has_stress.sum().double(),
            ]
        ),
    )


def unusable(prediction: Prediction, targets: Targets, structure: Tensor) -> list[int]:
    """Indices of the structures whose squared error is not finite."""
    energy = ((prediction.energy - targets.energy) / targets.n_atoms).square()
    bad = ~torch.isfinite(energy)
    stress = (prediction.stress - targets.stress).square().sum(dim=(1, 2))
    bad |= ~torch.isfinite(stress)
    forces = (prediction.forces - targets.forces).square().sum(dim=1)
    bad[structure[~torch.isfinite(forces)]] = True
    return torch.nonzero(bad)[:, 0].tolist()
