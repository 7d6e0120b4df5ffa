"""Relaxation and dynamics of many cells at once: as ASE does it, and as each alone."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.filters import UnitCellFilter
from ase.optimize import FIRE

from fw_nnp.core.atoms import from_atoms, to_atoms
from fw_nnp.core.errors import SamplingError, SpecError
from fw_nnp.core.units import KB
from fw_nnp.nnp import load_calculator, predict
from fw_nnp.nnp.artefact import load_model
from fw_nnp.nnp.dynamics import Dynamics
from fw_nnp.nnp.relax import relax
from fw_nnp.nnp.surface import Surface

from .test_physics import changed


@pytest.fixture
def surface(fitted):
    return Surface(load_model(fitted))


def crystals(scale=0.1):
    """Rattled, strained aluminium of 1 to 32 atoms, one with a vacancy."""
    rng = np.random.default_rng(3)
    found = []
    for size in [(1, 1, 1), (2, 1, 1), (2, 2, 2), (1, 1, 2), (1, 3, 1)]:
        atoms = bulk("Al", cubic=True, a=4.05) * size
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.01, size=(3, 3))), True)
        atoms.rattle(scale, rng=rng)
        if size == (2, 2, 2):
            del atoms[0]
        found.append(from_atoms(atoms))
    return found


@pytest.mark.parametrize("cell", [False, True])
def test_relaxes_as_ase_does_one_after_the_other(surface, fitted, cell):
    """The same path, as far as to the first step where no force on an atom is too large."""
    starts = crystals()
    for start, found in zip(starts, relax(surface, starts, fmax=0.01, cell=cell), strict=True):
        atoms = to_atoms(start)
        atoms.calc = load_calculator(fitted)
        fire = FIRE(UnitCellFilter(atoms) if cell else atoms, logfile=None)
        largest = [largest_row(atoms, cell) for _ in fire.irun(fmax=0.0, steps=found.steps)]
        assert found.converged
        assert found.largest_force == pytest.approx(largest[-1], abs=1e-7)
        assert found.steps == fire.nsteps > 2
        assert largest[-1] <= 0.01 < min(largest[:-1])
        assert found.label.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
        np.testing.assert_allclose(found.configuration.positions, atoms.positions, atol=1e-6)
        np.testing.assert_allclose(found.configuration.cell, atoms.cell, atol=1e-6)


def largest_row(atoms, cell):
    """Of the forces, and of the virial over the number of atoms."""
    rows = atoms.get_forces()
    if cell:
        virial = atoms.get_stress(voigt=False) * atoms.get_volume()
        rows = np.concatenate([rows, virial / len(atoms)])
    return np.linalg.norm(rows, axis=1).max()


def test_what_is_relaxed_is_what_the_model_says(surface, fitted):
    for found in relax(surface, crystals(), fmax=0.02):
        (label,) = predict(fitted, [found.configuration])
        assert found.label.energy == pytest.approx(label.energy, abs=1e-9)
        assert found.label.configuration_id == found.configuration.id
        assert found.largest_force == pytest.approx(
            np.linalg.norm(label.forces, axis=1).max(), abs=1e-8
        )
        assert found.largest_force <= 0.02


def test_a_cell_that_takes_too_long_is_told_apart(surface):
    done = []
    found = relax(surface, crystals(), fmax=0.01, most_steps=4, progress=done.append)
    assert [one.converged for one in found].count(False) >= 1
    assert done[-1] == len(found)
    assert all(one.steps == 4 for one in found if not one.converged)


def test_relaxing_a_cell_that_is_not_periodic_is_refused(surface):
    with pytest.raises(SpecError, match="cell 1: not periodic"):
        relax(surface, [changed(crystals()[0], pbc=(True, True, False))], fmax=0.1, cell=True)


def test_colliding_atoms_are_named(surface):
    bad = changed(crystals()[0], positions=np.ones((4, 3)))
    with pytest.raises(SamplingError, match=bad.id):
        relax(surface, [crystals()[1], bad], fmax=0.1)


def test_dynamics_keep_energy(surface):
    moving = Dynamics(surface, crystals(0.03), timestep=2.0, temperature=400.0, seeds=range(5))
    totals, potentials = [], []
    for _ in range(50):
        moving.run(4)
        totals.append((moving.state.energies + moving.kinetic_energies()) / moving.cells.counts)
        potentials.append(moving.state.energies / moving.cells.counts)
    assert moving.time == pytest.approx(400.0)
    assert (np.ptp(totals, axis=0) < 0.05 * np.ptp(potentials, axis=0)).all()
    momenta = moving.cells.total(moving.velocities)
    np.testing.assert_allclose(momenta, 0.0, atol=1e-9)


def test_many_at_once_move_as_each_alone(surface):
    starts = crystals(0.05)
    settings = {"timestep": 1.0, "friction": 0.01}
    together = Dynamics(surface, starts, temperature=[300.0] * 5, seeds=range(5), **settings)
    together.run(20)
    for index, start in enumerate(starts):
        alone = Dynamics(surface, [start], temperature=300.0, seeds=[index], **settings)
        alone.run(20)
        np.testing.assert_allclose(
            alone.cells.positions, together.cells.positions[together.cells.rows(index)], atol=1e-9
        )


def test_thermostat_reaches_its_temperature(surface):
    """Mean over cells and time within four standard errors, and equipartition."""
    starts = [crystals(0.03)[0]] * 24
    wanted = np.repeat([200.0, 500.0], 12)
    moving = Dynamics(
        surface, starts, timestep=2.0, temperature=wanted, friction=0.02, seeds=range(24)
    )
    moving.run(150)
    seen = []
    for _ in range(40):
        moving.run(10)
        seen.append(moving.temperatures())
    means = np.mean(seen, axis=0).reshape(2, 12)
    error = means.std(axis=1, ddof=1) / np.sqrt(12)
    assert (np.abs(means.mean(axis=1) - [200.0, 500.0]) < 4 * error).all()
    assert (error < 0.1 * np.array([200.0, 500.0])).all()
    assert moving.kinetic_energies().mean() == pytest.approx(1.5 * 4 * KB * 350.0, rel=0.3)
