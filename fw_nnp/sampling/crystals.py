"""Perfect crystals, strained crystals, rattled crystals."""

from __future__ import annotations

import numpy as np
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import Configuration, FloatArray
from fw_nnp.core.specs import CrystalSpec, RattleSpec, StrainSpec


def crystal(spec: CrystalSpec, element: str) -> Configuration:
    """The perfect crystal of `spec`."""
    shapes = {
        "conventional": {"cubic": spec.crystal != "hcp"},
        "orthorhombic": {"orthorhombic": True},
    }
    cell = bulk(element, spec.crystal, a=spec.lattice_constant, **shapes.get(spec.cell, {}))
    return from_atoms(cell.repeat(spec.repeat))


def strained_crystals(
    spec: StrainSpec, element: str, count: int, rng: np.random.Generator
) -> list[Configuration]:
    """Random symmetric strains; every fourth cell is strained isotropically instead."""
    start = crystal(spec, element)
    cells = []
    for number in range(count):
        strain = _symmetric(rng.uniform(-spec.strain, spec.strain, (3, 3)))
        if number % 4 == 0:
            strain = strain[0, 0] * np.eye(3)
        cells.append(_deformed(start, strain, spec.rattle, rng))
    return cells


def rattled_crystals(
    spec: RattleSpec, element: str, count: int, rng: np.random.Generator
) -> list[Configuration]:
    """Random displacements on isotropically strained crystals."""
    start = crystal(spec, element)
    return [
        _deformed(start, rng.uniform(-spec.strain, spec.strain) * np.eye(3), spec.rattle, rng)
        for _ in range(count)
    ]


def _symmetric(matrix: FloatArray) -> FloatArray:
    """The upper triangle of `matrix`, mirrored."""
    upper = np.triu(matrix)
    return upper + np.triu(matrix, 1).T


def _deformed(
    start: Configuration, strain: FloatArray, rattle: float, rng: np.random.Generator
) -> Configuration:
    deformation = np.eye(3) + strain
    displacements = rng.normal(scale=rattle, size=start.positions.shape)
    return Configuration(
        cell=start.cell @ deformation,
        positions=start.positions @ deformation + displacements,
        numbers=start.numbers,
    )
