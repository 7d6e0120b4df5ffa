"""The engines under one battery, and cells to try them on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import Configuration
from fw_nnp.core.specs import PotentialSpec
from fw_nnp.potentials import EmpiricalPotential, make_potential

EMT = PotentialSpec(engine="emt", elements=["Al"])
EAM = PotentialSpec(style="eam/fs", file="Al_mm.eam.fs", elements=["Al"])


@pytest.fixture
def eam(lmp, programs) -> EmpiricalPotential:
    """Mendelev's aluminium through LAMMPS."""
    folder = programs.require_potentials()
    return make_potential(EAM, lmp=lmp, base=Path(), potentials_dir=folder)


@pytest.fixture(params=["emt", pytest.param("lammps", marks=pytest.mark.engines)])
def potential(request: pytest.FixtureRequest) -> EmpiricalPotential:
    """Each engine in turn: they keep the same promises."""
    if request.param == "lammps":
        return request.getfixturevalue("eam")
    return make_potential(EMT, lmp=[], base=Path(), potentials_dir=None)


def rattled(repeat: tuple[int, int, int] = (1, 1, 1), *, seed: int = 0) -> Configuration:
    """A disordered crystal of aluminium."""
    atoms = bulk("Al", a=4.05, cubic=True).repeat(repeat)
    atoms.rattle(0.15, rng=np.random.default_rng(seed))
    return from_atoms(atoms)


def moved(
    configuration: Configuration, deformation: np.ndarray, shifts: np.ndarray | float = 0.0
) -> Configuration:
    """`configuration` with cell and positions times `deformation` (3, 3), then shifted."""
    return Configuration(
        cell=configuration.cell @ deformation,
        positions=configuration.positions @ deformation + shifts,
        numbers=configuration.numbers,
    )
