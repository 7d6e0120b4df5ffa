"""A fixed repulsion at distances that no training set covers.

The universal potential of Ziegler, Biersack and Littmark (The Stopping and Range of Ions in
Solids, 1985), switched off well below bonding distances. It has no parameters: training
subtracts it from the labels, prediction adds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from fw_nnp.core.records import Configuration, FloatArray

from .neighbours import Neighbourhood

COULOMB = 14.399645  # e²/(4 pi eps0) in eV Å
COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
EXPONENTS = (3.1998, 0.94229, 0.4029, 0.20162)
INNER, OUTER = 0.5, 0.85
"""Full below INNER, zero above OUTER, as fractions of the sum of covalent radii."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """What is known before the network speaks: energy eV, forces (N, 3), virial (3, 3) eV."""

    energy: float
    forces: FloatArray
    virial: FloatArray

    @classmethod
    def zero(cls, n_atoms: int) -> Baseline:
        return cls(energy=0.0, forces=np.zeros((n_atoms, 3)), virial=np.zeros((3, 3)))


def repulsion(configuration: Configuration, found: Neighbourhood) -> Baseline:
    """ZBL energy, forces and virial of the pairs that are too close."""
    centres, distances = found.centres, found.distances()
    radii = covalent_radii[configuration.numbers]
    limits = OUTER * (radii[centres] + radii[found.neighbours])
    close = np.nonzero(distances < limits)[0]
    if not len(close):
        return Baseline.zero(configuration.n_atoms)
    atoms, vectors = centres[close], found.vectors[close]
    energies, slopes = _zbl(
        distances[close],
        configuration.numbers[atoms],
        configuration.numbers[found.neighbours[close]],
        limits[close],
    )
    pull = 0.5 * slopes[:, None] * vectors / distances[close][:, None]  # each pair comes twice
    forces = np.zeros((configuration.n_atoms, 3))
    np.add.at(forces, atoms, 2.0 * pull)
    return Baseline(energy=0.5 * float(energies.sum()), forces=forces, virial=vectors.T @ pull)


def _zbl(
    r: FloatArray, z1: np.ndarray, z2: np.ndarray, limits: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Pair energy eV and its slope eV/Å, switched off between INNER and OUTER."""
    length = 0.46850 / (z1**0.23 + z2**0.23)
    strength = COULOMB * z1 * z2
    screen = sum(c * np.exp(-b * r / length) for c, b in zip(COEFFICIENTS, EXPONENTS, strict=True))
    screen_slope = sum(
        -c * b / length * np.exp(-b * r / length)
        for c, b in zip(COEFFICIENTS, EXPONENTS, strict=True)
    )
    energy = strength * screen / r
    slope = strength * (screen_slope / r - screen / r**2)
    width = limits * (1.0 - INNER / OUTER)
    x = np.clip((limits - r) / width, 0.0, 1.0)
    switch = x**4 * (35.0 - 84.0 * x + 70.0 * x**2 - 20.0 * x**3)
    switch_slope = -140.0 * x**3 * (1.0 - x) ** 3 / width
    return energy * switch, slope * switch + energy * switch_slope
