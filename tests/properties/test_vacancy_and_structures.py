"""Vacancy, structure energies and tangent moduli, of effective medium theory."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from fw_nnp.core.atoms import from_atoms, label_from_calculator
from fw_nnp.core.errors import FwNnpError
from fw_nnp.core.specs import EvaluateSpec
from fw_nnp.properties import relaxation
from fw_nnp.properties.elastic import cubic_properties
from fw_nnp.properties.structures import structure_energy
from fw_nnp.properties.tangent import largest_jump, tangent_c11, uniaxial_scan, volume_scan
from fw_nnp.properties.vacancy import vacancy_energy


def emt(configurations):
    return [label_from_calculator(c, EMT(), "thy-emt") for c in configurations]


@pytest.fixture(scope="module")
def aluminium():
    return cubic_properties(emt, EvaluateSpec(element="Al", lattice_constant=4.0))


def test_fcc_has_its_own_volume_and_energy(aluminium):
    energy = structure_energy(emt, "Al", "fcc", 1.05 * aluminium.a0**3 / 4)
    assert energy == pytest.approx(aluminium.energy_per_atom, abs=2e-5)


def test_hcp_relaxes_c_over_a_and_bcc_keeps_its_shape(aluminium):
    """bcc is unstable in close-packed metals: a relaxed shape would fall to fcc."""
    volume = aluminium.a0**3 / 4
    ideal = 2 * volume  # of two atoms
    a = (ideal / (3**0.5 / 2) / (8 / 3) ** 0.5) ** (1 / 3)
    (unrelaxed,) = emt([from_atoms(bulk("Al", "hcp", a=a, c=a * (8 / 3) ** 0.5))])
    assert structure_energy(emt, "Al", "hcp", volume) < unrelaxed.energy / 2
    assert structure_energy(emt, "Al", "bcc", volume) > aluminium.energy_per_atom + 0.005


def test_a_vacancy_costs_less_when_its_neighbours_may_move(aluminium):
    crystal = bulk("Al", a=aluminium.a0, cubic=True).repeat(2)
    relaxed = vacancy_energy(emt, crystal)
    rest = crystal.copy()
    del rest[0]
    whole, unrelaxed = (label.energy for label in emt([from_atoms(crystal), from_atoms(rest)]))
    assert 0.0 < relaxed < unrelaxed - 31 / 32 * whole


def test_the_tangent_is_c11_where_the_crystal_is_not_strained(aluminium):
    cell = from_atoms(bulk("Al", a=aluminium.a0, cubic=True))
    (tangent,) = tangent_c11(emt, cell, [np.eye(3)])
    assert tangent == pytest.approx(aluminium.c11, rel=0.01)
    for scan in (volume_scan(), uniaxial_scan()):
        np.testing.assert_allclose(scan[60], np.eye(3))
        assert scan[0][0, 0] == pytest.approx(0.97)


def test_a_slope_is_no_jump():
    steep = 200.0 - 50.0 * np.arange(20.0)
    assert largest_jump(steep) == pytest.approx(0.0, abs=1e-12)
    assert largest_jump(steep + np.where(np.arange(20) > 8, 7.0, 0.0)) == pytest.approx(7.0)


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_a_jump_counts_in_full_where_one_modulus_lies_within_it(part):
    step = np.where(np.arange(20) > 8, 7.0, 0.0)
    step[8] = 7.0 * part
    assert largest_jump(step) == pytest.approx(7.0)


def test_a_relaxation_that_does_not_end_is_an_error(monkeypatch):
    monkeypatch.setattr(relaxation, "STEPS", 1)
    atoms = bulk("Al", cubic=True)
    atoms.rattle(0.2, seed=0)
    with pytest.raises(FwNnpError, match="not relaxed after 1 steps"):
        relaxation.relaxed(emt, from_atoms(atoms))
