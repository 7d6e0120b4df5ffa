"""A constant pressure in stress labels that the energies contradict.

Stresses of plane waves lack what a basis that grew with the cell would give (the Pulay stress, as
good as constant in a set of similar cells), those of MD codes may hold an ideal-gas part. A model
has one surface: where it follows such stresses, its energies are wrong by pressure times volume.
So after a part of the training the errors of the energies are asked whether they rise with the
volume. That slope, and what stresses still err by, are the constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fw_nnp.core.records import FloatArray
from fw_nnp.core.units import GPA

from .batch import AtomBatch
from .data import CellSet
from .loss import Targets, residuals
from .potential import Potential

ASKED_AT = (0.2, 0.4, 0.6)
"""Fractions of the training; after the first, only where a constant was found."""
LEAST = 1.0
"""GPa: a smaller constant is none."""
EVIDENCE = 10.0
"""A surface tilted by the constant errs at least so many times as much as the model, all cells
taken together."""
VACUUM = 1.5
"""Cells of more than so many times the median volume per atom are slabs, and say nothing."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the errors of a half trained model say.

    Attributes
    ----------
    offset
        GPa, in the normal stresses of the labels, positive in tension.
    evidence
        Error of the energies that a surface tilted by it has, over the model's.
    """

    offset: float
    evidence: float

    @property
    def is_sure(self) -> bool:
        return abs(self.offset) > LEAST and self.evidence > EVIDENCE


@torch.no_grad()
def find_offset(model: Potential, cells: CellSet) -> Found:
    """The constant in the labels of `cells`, what is already taken off them included."""
    model.use_head(cells.head)
    rows = np.concatenate([_errors(model, *part) for part in cells.at_once()], axis=1)
    labelled = rows[:, rows[3] > 0.0]
    if not labelled.shape[1]:
        return Found(offset=0.0, evidence=0.0)
    energy, normal, volume = labelled[:3, labelled[2] < VACUUM * np.median(labelled[2])]
    way = volume - volume.mean()
    spread = float(way @ way)
    if spread == 0.0:
        return Found(offset=0.0, evidence=0.0)
    tilt = float(way @ energy) / spread  # eV/Å³
    left = energy - energy.mean() - tilt * way
    offset = cells.stress_offset - float(normal.mean()) + tilt / GPA
    error = max(float(np.sqrt(np.mean(left**2))), 1e-12)
    return Found(offset=offset, evidence=abs(offset) * GPA * spread**0.5 / error)


def _errors(model: Potential, batch: AtomBatch, targets: Targets) -> FloatArray:
    """(4, B): of energies eV/atom, of normal stresses GPa; volumes Å³/atom; 1 with stress."""
    wrong = residuals(model(batch), targets)
    rows = (
        wrong.energy[0],
        wrong.stress[0, :, :3].mean(1),
        batch.volumes / targets.n_atoms,
        targets.has_stress,
    )
    return np.stack([row.double().cpu().numpy() for row in rows])
