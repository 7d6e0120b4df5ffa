"""Engines and thermal cells for the sampling tests."""

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
def emt() -> EmpiricalPotential:
    """The stand-in engine."""
    return make_potential(EMT, lmp=[], base=Path(), potentials_dir=None)


@pytest.fixture
def eam(lmp, programs) -> EmpiricalPotential:
    """Mendelev's aluminium through LAMMPS."""
    folder = programs.require_potentials()
    return make_potential(EAM, lmp=lmp, base=Path(), potentials_dir=folder)


def noisy(
    structure: str, a: float, repeat: tuple[int, int, int], noise: float, *, seed: int = 0
) -> Configuration:
    """A crystal with Gaussian displacements of standard deviation `noise` (Å)."""
    atoms = bulk("Al", structure, a=a, cubic=structure != "hcp").repeat(repeat)
    atoms.rattle(noise, rng=np.random.default_rng(seed))
    return from_atoms(atoms)


def gas(n: int, *, seed: int = 0) -> Configuration:
    """`n` atoms anywhere in a cube of the density of aluminium."""
    length = (16.6 * n) ** (1 / 3)
    positions = np.random.default_rng(seed).uniform(0.0, length, (n, 3))
    return Configuration(cell=length * np.eye(3), positions=positions, numbers=[13] * n)
