"""Solid, interface or liquid: the fraction of atoms with crystalline surroundings.

An atom is solid-like where its averaged bond order q̄6 (Lechner and Dellago 2008) is at least
0.30. Measured with `Al_mm.eam.fs` (melting point 926 K), percentiles of q̄6 over atoms and time:

====================  =====  =====  =====
cell                    1 %   50 %   99 %
====================  =====  =====  =====
fcc, 32 atoms, 300 K   0.53   0.55   0.56
fcc, 32 atoms, 900 K   0.38   0.47   0.51
melt, 32 atoms, 1500 K 0.09   0.15   0.23
melt, 32 atoms, 2000 K 0.08   0.14   0.23
fcc, 16 atoms, 900 K   0.39   0.49   0.54
melt, 16 atoms, 2000 K 0.11   0.21   0.35
fcc, 4 atoms, 900 K    0.43   0.52   0.56
====================  =====  =====  =====

The perfect crystals have 0.575 (fcc), 0.511 (bcc) and 0.485 (hcp). The value of a melt rises
in small cells, because an atom's neighbours are images of the same few atoms; a cell of 4 atoms
keeps 0.34 or more for 99 % of its atoms at 2000 K: it is tagged solid where larger cells melt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fw_nnp.core.records import Configuration, Frame

from .bonds import averaged_order, bonds_of, find_pairs

Phase = Literal["solid", "interface", "liquid"]

SOLID_LIKE = 0.30
"""Smallest q̄6 of a solid-like atom."""
MOSTLY, HARDLY = 0.8, 0.2
"""A cell is solid from this fraction of solid-like atoms on, and liquid up to that one."""
_BATCH = 1000  # cells at a time, to bound the memory


@dataclass(frozen=True, kw_only=True)
class PhaseTag:
    """The phase of a cell and its fraction of solid-like atoms."""

    phase: Phase
    solid_fraction: float


def tag(configurations: Sequence[Configuration]) -> list[PhaseTag]:
    """The phase of each configuration."""
    tags = []
    for start in range(0, len(configurations), _BATCH):
        pairs = find_pairs(configurations[start : start + _BATCH])
        solid = averaged_order(6, bonds_of(pairs)) >= SOLID_LIKE
        fractions = np.bincount(pairs.cells, solid) / np.bincount(pairs.cells)
        tags += [PhaseTag(phase=_phase(x), solid_fraction=x) for x in fractions.tolist()]
    return tags


def tagged(frames: Sequence[Frame]) -> list[Frame]:
    """`frames` with their phase; those that have one keep it."""
    new = [i for i, frame in enumerate(frames) if not frame.phase]
    tags = tag([frames[i].configuration for i in new])
    result = list(frames)
    for i, found in zip(new, tags, strict=True):
        result[i] = replace(frames[i], phase=found.phase)
    return result


def _phase(solid_fraction: float) -> Phase:
    if solid_fraction >= MOSTLY:
        return "solid"
    return "liquid" if solid_fraction <= HARDLY else "interface"
