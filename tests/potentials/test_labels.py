"""Labels: derivatives, symmetries, any cell; the same battery for all engines."""

from __future__ import annotations

import numpy as np
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration

from .conftest import moved, rattled

IMPROPER = -np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]


def test_forces_are_the_derivative_of_the_energy(potential, tmp_path):
    start, h = rattled(), 1e-4
    shifts = [sign * h * unit for unit in np.eye(12).reshape(12, 4, 3) for sign in (1, -1)]
    cells = [moved(start, np.eye(3), shift) for shift in shifts]
    energies = np.array([label.energy for label in potential.label(cells, tmp_path)])
    numerical = -(energies[::2] - energies[1::2]) / (2 * h)
    forces = potential.label([start], tmp_path)[0].forces
    assert np.abs(forces).max() > 0.5
    np.testing.assert_allclose(forces.ravel(), numerical, atol=2e-5)


def test_stress_is_the_derivative_by_strain_per_volume(potential, tmp_path):
    start, h = moved(rattled(), 0.97 * np.eye(3)), 1e-5
    cells = []
    for i, j in np.ndindex(3, 3):
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * h / 2
            strain[j, i] += sign * h / 2
            cells.append(moved(start, strain))
    energies = np.array([label.energy for label in potential.label(cells, tmp_path)])
    numerical = ((energies[::2] - energies[1::2]) / (2 * h * start.volume)).reshape(3, 3)
    stress = potential.label([start], tmp_path)[0].stress
    assert np.trace(stress) < 0.0, "compressed: negative, as tension is positive"
    np.testing.assert_allclose(stress, numerical, atol=2e-6)


def test_a_mixture_of_cells_is_labelled_as_each_alone(potential, tmp_path):
    shear = np.array([[1.0, 0.0, 0.0], [0.7, 1.1, 0.0], [-0.9, 0.8, 0.9]])
    cells = [
        rattled((2, 1, 1), seed=1),
        moved(rattled(seed=2), shear),
        rattled((2, 2, 1), seed=3),
        Configuration(
            cell=2.86 * (1 - np.eye(3)) / 2**0.5, positions=np.ones((1, 3)), numbers=[13]
        ),
    ]
    together = potential.label(cells, tmp_path)
    for cell, label in zip(cells, together, strict=True):
        alone = potential.label([cell], tmp_path)[0]
        assert label.configuration_id == cell.id
        assert label.theory_id == potential.theory.id
        np.testing.assert_allclose(label.energy, alone.energy, rtol=1e-13)
        np.testing.assert_allclose(label.forces, alone.forces, atol=1e-12)
        np.testing.assert_allclose(label.stress, alone.stress, atol=1e-14)


def test_left_handed_and_turned_cells_turn_with_their_labels(potential, tmp_path):
    start = moved(rattled(), np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.2], [0.1, 0.0, 0.95]]))
    mirrored = moved(start, IMPROPER)
    assert np.linalg.det(mirrored.cell) < 0.0
    before, after = potential.label([start, mirrored], tmp_path)
    np.testing.assert_allclose(after.energy, before.energy, rtol=1e-11)
    np.testing.assert_allclose(after.forces, before.forces @ IMPROPER, atol=1e-10)
    np.testing.assert_allclose(after.stress, IMPROPER.T @ before.stress @ IMPROPER, atol=1e-11)


def test_other_vectors_of_the_same_lattice_change_nothing(potential, tmp_path):
    start = rattled()
    skewed = Configuration(
        cell=np.array([[1, 0, 0], [3, 1, 0], [-2, 5, 1]]) @ start.cell,
        positions=start.positions + 2 * start.cell[0],
        numbers=start.numbers,
    )
    before, after = potential.label([start, skewed], tmp_path)
    np.testing.assert_allclose(after.energy, before.energy, rtol=1e-11)
    np.testing.assert_allclose(after.forces, before.forces, atol=1e-10)
    np.testing.assert_allclose(after.stress, before.stress, atol=1e-11)


def test_a_supercell_has_twice_the_energy_and_the_same_stress(potential, tmp_path):
    one = rattled()
    two = Configuration(
        cell=one.cell * [[1], [2], [1]],
        positions=np.concatenate([one.positions, one.positions + one.cell[1]]),
        numbers=np.tile(one.numbers, 2),
    )
    single, double = potential.label([one, two], tmp_path)
    np.testing.assert_allclose(double.energy, 2 * single.energy, rtol=1e-11)
    np.testing.assert_allclose(double.forces, np.tile(single.forces, (2, 1)), atol=1e-10)
    np.testing.assert_allclose(double.stress, single.stress, atol=1e-11)


def test_no_cells_no_labels(potential, tmp_path):
    assert potential.label([], tmp_path) == []


def test_foreign_elements_and_open_boundaries_are_refused(potential, tmp_path):
    start = rattled()
    copper = Configuration(cell=start.cell, positions=start.positions, numbers=[29, 13, 13, 13])
    slab = Configuration(
        cell=start.cell, positions=start.positions, numbers=start.numbers, pbc=(True, True, False)
    )
    with pytest.raises(SpecError, match="not Cu"):
        potential.label([start, copper], tmp_path)
    with pytest.raises(SpecError, match="periodic"):
        potential.label([slab], tmp_path)
