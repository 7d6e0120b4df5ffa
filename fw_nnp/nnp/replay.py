"""Low-fidelity labels among the high-fidelity ones of a stage, so that they are not forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from fw_nnp.core.specs import StageSpec

from .data import Cell, CellSet

STREAM = 1  # apart from the random numbers that order the stage's own cells


def replayed_per_step(stage: StageSpec) -> int:
    """How many cells of each step are replayed; at least one cell is the stage's own."""
    if stage.replay is None:
        return 0
    return min(max(1, round(stage.replay.fraction * stage.batch_size)), stage.batch_size - 1)


def replayed(count: int, per_step: int, steps: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices among `count` cells for every step of an epoch; the same in a resumed run.

    All cells have their turn before one comes again.
    """
    order = np.random.default_rng([seed, epoch, STREAM]).permutation(count)
    chosen: list[list[int]] = np.resize(order, (steps, per_step)).tolist()
    return chosen


def on_the_new_scale(cells: Sequence[Cell], change: Tensor) -> CellSet:
    """Cells whose energies count from the new reference energies.

    Two levels of theory have unrelated zeros of energy; what the stage's re-fit of the
    reference energies moved between them must not look like an error of the network.

    Parameters
    ----------
    change
        (Z,) eV, new minus old reference energy per element.
    """
    moved = []
    for cell in cells:
        offset = change[cell.batch.species].sum()
        targets = replace(cell.targets, energy=cell.targets.energy + offset)
        moved.append(replace(cell, targets=targets))
    return CellSet(moved)
