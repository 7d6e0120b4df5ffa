"""Errors in physical units, their root mean squares, and the loss made of them."""

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
    share, force_share
        (B,) and (A,): how much the labels of a cell, and the force on an atom, count in the loss.
    """

    energy: Tensor
    n_atoms: Tensor
    forces: Tensor
    has_forces: Tensor
    stress: Tensor
    has_stress: Tensor
    share: Tensor
    force_share: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """Prediction minus label, zero where there is none; M members where there are several.

    Attributes
    ----------
    energy
        (M, B) eV/atom.
    forces
        (M, A, 3) eV/Å.
    stress
        (M, B, 6) GPa, Voigt.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """In the order of `QUANTITIES`."""
        return self.energy, self.forces, self.stress


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """Sums of squared errors and how many components they are of: energy, forces, stress.

    Units eV/atom, eV/Å, GPa; `squares` and `counts` (3,) float64.
    """

    squares: Tensor
    counts: Tensor

    def score(self, weights: LossWeights) -> float:
        """Weighted sum of the mean squares of what is labelled."""
        factors = torch.tensor([weights.energy, weights.forces, weights.stress]).double()
        return float((factors * self.squares / self.counts.clamp(min=1.0)).sum())

    def rmse(self) -> dict[str, float | None]:
        """Root mean squares in meV/atom, meV/Å and GPa; None without labels."""
        result: dict[str, float | None] = {}
        for name, square, count in zip(QUANTITIES, self.squares, self.counts, strict=True):
            value = SCALES[name] * float(square / count) ** 0.5 if count > 0 else None
            result[name] = value
        return result


def residuals(prediction: Prediction, targets: Targets) -> Residuals:
    """What is wrong with the predictions of a batch."""
    energy = (prediction.energy - targets.energy) / targets.n_atoms
    forces = (prediction.forces - targets.forces) * targets.has_forces[:, None]
    stress = (prediction.stress - targets.stress) * (targets.has_stress / GPA)[:, None, None]
    voigt = torch.stack([stress[..., a, b] for a, b in VOIGT], dim=-1)
    return Residuals(
        energy=energy.view(-1, len(targets.energy)),
        forces=forces.view(-1, len(targets.forces), 3),
        stress=voigt.view(-1, len(targets.stress), 6),
    )


@torch.no_grad()
def errors(found: Residuals, targets: Targets) -> Errors:
    """Squared errors of a batch, every label counting alike."""
    return Errors(
        squares=torch.stack([part.double().square().sum() for part in found.parts]),
        counts=components(targets, len(found.energy)),
    )


def components(targets: Targets, members: int) -> Tensor:
    """(3,) how many components of energy, forces and stress are labelled, for each member."""
    masks = (torch.ones_like(targets.share), targets.has_forces, targets.has_stress)
    counts = [mask.double().sum() for mask in masks]
    return members * torch.tensor([1.0, 3.0, 6.0]).to(counts[0]) * torch.stack(counts)


def loss(found: Residuals, targets: Targets, weights: LossWeights) -> Tensor:
    """Weighted sum of mean squares, or of what `weights.robust` makes of those of forces.

    The pseudo-Huber function 2 d² (sqrt(1 + e²/d²) - 1) is e² for small e and 2 d |e| for large.
    """
    energy, forces, stress = (part.square() for part in found.parts)
    if weights.robust is not None:
        width = weights.robust**2
        forces = 2.0 * width * ((1.0 + forces / width).sqrt() - 1.0)
    means = (
        _mean(energy, targets.share),
        _mean(forces.sum(2) / 3.0, targets.force_share * targets.has_forces),
        _mean(stress.sum(2) / 6.0, targets.share * targets.has_stress),
    )
    factors = (weights.energy, weights.forces, weights.stress)
    return torch.stack([f * mean.double() for f, mean in zip(factors, means, strict=True)]).sum()


def _mean(squares: Tensor, shares: Tensor) -> Tensor:
    """Over members and over labels with their shares; zero without labels."""
    return (squares * shares).sum(1).mean() / shares.sum().clamp(min=1e-12)


def unusable(prediction: Prediction, targets: Targets, structure: Tensor) -> list[int]:
    """Indices of the structures whose squared error is not finite."""
    energy = ((prediction.energy - targets.energy) / targets.n_atoms).square()
    stress = (prediction.stress - targets.stress).square().sum(dim=(-2, -1))
    bad = ~torch.isfinite(energy + stress).view(-1, len(targets.energy)).all(0)
    forces = (prediction.forces - targets.forces).square().sum(-1).view(-1, len(structure))
    bad[structure[~torch.isfinite(forces).all(0)]] = True
    return torch.nonzero(bad)[:, 0].tolist()
