"""Tangent modulus C11 along a fine scan: does it stay smooth as shells cross the cutoff?

A cutoff function whose second derivative jumps makes the tangent modulus jump wherever a shell of
neighbours passes it, which elastic constants at one strain do not show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fw_nnp.core.records import Configuration, FloatArray
from fw_nnp.core.units import GPA

from .elastic import Evaluate

SCAN = np.arange(-60, 61) * 5e-4
"""Strains of a scan: -3 to 3 %, in steps of 0.05 %."""
H = 1e-4  # strain to either side at which the stress is taken


def tangent_c11(
    evaluate: Evaluate, crystal: Configuration, deformations: Sequence[FloatArray]
) -> FloatArray:
    """(n,) GPa: d stress_xx / d strain_xx of `crystal` after each (3, 3) deformation."""
    sides = [np.diag([1.0 + sign * H, 1.0, 1.0]) for sign in (1, -1)]
    cells = [_deformed(crystal, first @ side) for first in deformations for side in sides]
    stress = np.array([label.stress[0, 0] for label in evaluate(cells) if label.stress is not None])
    return np.asarray((stress[::2] - stress[1::2]) / (2.0 * H * GPA))


def volume_scan() -> list[FloatArray]:
    """Expansion and compression by the strains of SCAN in all directions."""
    return [(1.0 + strain) * np.eye(3) for strain in SCAN]


def uniaxial_scan() -> list[FloatArray]:
    """Stretching and squeezing along x by the strains of SCAN."""
    return [np.diag([1.0 + strain, 1.0, 1.0]) for strain in SCAN]


def largest_jump(tangent: FloatArray) -> float:
    """GPa: how much more the modulus changes over two steps than over those before and after.

    A slope of any size is no jump. Two steps, because a shell may pass the cutoff between the two
    stresses of one modulus: that one then lies halfway, and either step has a part of the jump.
    """
    steps = np.diff(tangent)
    return float(np.abs(steps[1:-2] + steps[2:-1] - steps[:-3] - steps[3:]).max())


def _deformed(crystal: Configuration, deformation: FloatArray) -> Configuration:
    return Configuration(
        cell=crystal.cell @ deformation,
        positions=crystal.positions @ deformation,
        numbers=crystal.numbers,
        pbc=crystal.pbc,
    )
