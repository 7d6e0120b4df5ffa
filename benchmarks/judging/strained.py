"""Elastic constants that the labels of strained cubes imply, without any potential.

To be compared with those that the stress of a potential implies in the same cells: their atoms may
be displaced, and strains are finite.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fw_nnp.core.records import FloatArray, LabelledConfiguration
from fw_nnp.core.units import GPA

STRAIGHT = 5e-3  # of an edge: what a sheared cube of constant volume has beside its shear
DECIMALS = 3  # of strains that are taken for the same
_NAMES = ("c11", "c12", "c44")


def elastic_of_labels(
    items: Sequence[LabelledConfiguration], atoms_per_cube: int
) -> dict[str, float]:
    """``c11``, ``c12`` and ``c44`` in GPa, those that the labels tell.

    Central differences of the stress in cubes stretched or sheared along the axes, over the
    smallest strain that is there with both signs and, where that is there as well, twice this
    strain, extrapolated to none.
    """
    cubes = [found for item in items if (found := _cube(item, atoms_per_cube)) is not None]
    stretched = [edges for cell, _ in cubes if np.ptp(edges := np.diag(cell)) > STRAIGHT * edges[0]]
    if not stretched:
        return {}
    a0 = float(np.median(stretched))  # most edges of most of them are those of the cube
    slopes: dict[str, dict[float, list[float]]] = {name: defaultdict(list) for name in _NAMES}
    for cell, stress in cubes:
        strain = cell / a0 - np.eye(3)
        row, column = np.unravel_index(np.abs(strain).argmax(), (3, 3))
        size = float(strain[row, column])
        rest = strain.copy()
        rest[row, column] = 0.0
        if abs(size) < STRAIGHT or np.abs(rest).max() > min(STRAIGHT, 0.1 * abs(size)):
            continue
        if row != column:
            slopes["c44"][round(size, DECIMALS)].append(stress[row, column])
        else:
            across = (np.trace(stress) - stress[row, row]) / 2.0
            slopes["c11"][round(size, DECIMALS)].append(stress[row, row])
            slopes["c12"][round(size, DECIMALS)].append(across)
    found = {name: _extrapolated(values) for name, values in slopes.items()}
    return {name: value for name, value in found.items() if value is not None}


def _cube(
    item: LabelledConfiguration, atoms_per_cube: int
) -> tuple[NDArray[np.float64], FloatArray] | None:
    """Cell of one cube (3, 3) in Å and stress in GPa of a supercell; None for other cells."""
    configuration, stress = item.configuration, item.label.stress
    repeats = round((configuration.n_atoms / atoms_per_cube) ** (1 / 3))
    if stress is None or configuration.n_atoms != atoms_per_cube * repeats**3:
        return None
    return configuration.cell / repeats, stress / GPA


def _extrapolated(stresses: dict[float, list[float]]) -> float | None:
    """Slope of the stress at no strain from stresses at strains of both signs."""
    mean = {strain: float(np.mean(values)) for strain, values in stresses.items()}
    both = sorted(strain for strain in mean if strain > 0.0 and -strain in mean)
    if not both:
        return None
    slope = {strain: (mean[strain] - mean[-strain]) / (2.0 * strain) for strain in both}
    first, second = both[0], round(2.0 * both[0], DECIMALS)
    if second not in slope:
        return slope[first]
    return (4.0 * slope[first] - slope[second]) / 3.0
