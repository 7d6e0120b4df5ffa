"""The order of the shear stresses in an mlearn file, which differs from metal to metal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import FloatArray, LabelledConfiguration
from fw_nnp.exchange import read_labelled
from fw_nnp.exchange.description import FileDescription, StressDescription

SHEARS = ("yz", "xz", "xy")
SHEARED, STRAIGHT = 5e-3, 1e-3  # cosines between cell vectors
LONGEST = 1.1  # ratio of the edges of a sheared cube


def describe(path: Path) -> FileDescription:
    """The description of a file of the set that has none: its shear order is found out.

    Each metal has crystals sheared in one plane. Under the right order their largest shear
    stress is in that plane. (Its sign is no help: soft lithium at 0.5 % has the wrong one.)

    Raises
    ------
    SpecError
        No order explains more than half of these crystals, or two explain them equally well.
    """
    items = list(read_labelled(path, description_of(SHEARS)))
    sheared = [item for item in items if item.label.stress is not None and _plane(item) >= 0]
    right = {order: _explained(sheared, order) for order in permutations(SHEARS)}
    best = max(right, key=lambda order: right[order])
    if 2 * right[best] <= len(sheared) or list(right.values()).count(right[best]) > 1:
        raise SpecError(
            f"{len(sheared)} sheared crystals do not tell the order of its shear stresses",
            place=str(path),
            remedy="say it in a YAML file, --description; see examples/descriptions",
        )
    return description_of(best)


def description_of(shears: Sequence[str]) -> FileDescription:
    """Units and signs of the set, with this order of the shear stresses."""
    return FileDescription(
        theory="PBE, VASP, mlearn data set",
        energy="eV",
        length="Å",
        forces="eV/Å",
        stress=StressDescription(
            quantity="stress",
            positive_in="compression",
            unit="kbar",
            order=" ".join(("xx", "yy", "zz", *shears)),
        ),
    )


def _explained(items: Sequence[LabelledConfiguration], order: Sequence[str]) -> int:
    """How many of the sheared crystals, read in the order of SHEARS, `order` explains."""
    count = 0
    for item in items:
        assert item.label.stress is not None
        numbers = item.label.stress[[1, 0, 0], [2, 2, 1]]  # as they stand in the file
        stress = np.array([numbers[order.index(name)] for name in SHEARS])
        count += int(np.argmax(np.abs(stress))) == _plane(item)
    return count


def _plane(item: LabelledConfiguration) -> int:
    """Index in SHEARS of the one plane in which a cube was sheared, or -1."""
    lengths = np.linalg.norm(item.configuration.cell, axis=1)
    if lengths.max() > LONGEST * lengths.min():  # a slab
        return -1
    shear = np.abs(_cosines(item))
    plane = int(np.argmax(shear))
    alone = shear[plane] > SHEARED and np.delete(shear, plane).max() < STRAIGHT
    return plane if alone else -1


def _cosines(item: LabelledConfiguration) -> FloatArray:
    """(3,) cosines between the cell vectors, in the order of SHEARS."""
    rows = item.configuration.cell / np.linalg.norm(item.configuration.cell, axis=1)[:, None]
    return np.asarray((rows @ rows.T)[[1, 0, 0], [2, 2, 1]])
