"""Moving cells: lists with a skin change nothing, wherever the atoms and the cell go."""

from __future__ import annotations

import numpy as np
import pytest

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.errors import SamplingError, SpecError
from fw_nnp.nnp import predict
from fw_nnp.nnp.calculator import NeuralNetworkCalculator
from fw_nnp.nnp.surface import Surface

from .conftest import random_cell
from .test_physics import PERIODICITIES, changed


def assert_same(configuration, found, label, atol=1e-10):
    assert found.energies.sum() == pytest.approx(label.energy, abs=atol)
    np.testing.assert_allclose(found.forces, label.forces, atol=atol)
    if label.stress is not None:
        np.testing.assert_allclose(
            found.virials.sum(axis=0) / configuration.volume, label.stress, atol=atol
        )


@pytest.mark.parametrize("pbc", PERIODICITIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_fresh_lists_along_a_walk(model, seed, pbc):
    """Atoms that diffuse, are wrapped, and a cell that strains: as if found anew each time."""
    surface = Surface(model)
    cell = random_cell(seed, pbc=pbc)
    pairs = surface.pairs_of(cell)
    rng = np.random.default_rng(seed)
    for step in range(30):
        moved = cell.positions + rng.normal(scale=0.02, size=cell.positions.shape)
        matrix = cell.cell @ (np.eye(3) + rng.normal(scale=1e-3, size=(3, 3)) * (step % 3 == 0))
        if step % 5 == 4:
            hops = rng.integers(-2, 3, size=moved.shape) * np.array(pbc)
            moved = moved + hops @ matrix
        cell = changed(cell, positions=moved, cell=matrix)
        pairs.update(cell.positions, cell.cell)
        (label,) = predict(model, [cell])
        assert_same(cell, surface.evaluate([pairs]), label)
    if not any(pbc) or all(pbc):
        assert 1 <= pairs.n_built < 15


def test_list_is_found_anew_before_a_pair_can_be_missed(model):
    """One atom walks in from outside the list to within the cutoff."""
    surface = Surface(model)
    cell = random_cell(0, n=2, pbc=(False, False, False))
    pairs = surface.pairs_of(cell)
    start = surface.cutoff + surface.skin + 1.0
    energies = []
    for distance in np.arange(start, surface.cutoff - 1.5, -0.07):
        positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
        pairs.update(positions, cell.cell)
        energies.append(surface.evaluate([pairs]).energies.sum())
        (label,) = predict(model, [changed(cell, positions=positions)])
        assert energies[-1] == pytest.approx(label.energy, abs=1e-10)
    assert abs(energies[-1] - energies[0]) > 1e-6


def test_many_cells_at_once_equal_each_alone(model):
    surface = Surface(model)
    cells = [random_cell(seed, n=1 + seed, pbc=PERIODICITIES[seed % 3]) for seed in range(7)]
    lists = [surface.pairs_of(cell) for cell in cells]
    for pairs, cell in zip(lists, cells, strict=True):
        pairs.update(cell.positions, cell.cell)
    together = surface.evaluate(lists)
    first = 0
    for cell, label in zip(cells, predict(model, cells), strict=True):
        rows = slice(first, first + cell.n_atoms)
        assert together.energies[rows].sum() == pytest.approx(label.energy, abs=1e-10)
        np.testing.assert_allclose(together.forces[rows], label.forces, atol=1e-10)
        first += cell.n_atoms


def test_repulsion_is_in_it(model):
    cell = random_cell(0, n=2, pbc=(False, False, False))
    cell = changed(cell, positions=np.array([[0.0, 0.0, 0.0], [0.3, 0.4, 0.7]]))
    surface = Surface(model)
    pairs = surface.pairs_of(cell)
    pairs.update(cell.positions, cell.cell)
    found = surface.evaluate([pairs])
    (label,) = predict(model, [cell])
    assert_same(cell, found, label, atol=1e-9)
    assert np.abs(found.forces).max() > 50.0


def test_single_precision_is_close(model):
    cell = random_cell(3)
    found = []
    for precision in ("double", "single"):
        surface = Surface(model, precision)
        pairs = surface.pairs_of(cell)
        pairs.update(cell.positions, cell.cell)
        found.append(surface.evaluate([pairs]).forces)
    assert 0 < np.abs(found[1] - found[0]).max() < 1e-4 * np.abs(found[0]).max()


def test_unknown_precision_is_refused(model):
    for ask in (lambda: Surface(model, "half"), lambda: predict(model, [], precision="float32")):
        with pytest.raises(SpecError, match="single or double"):
            ask()


def test_coinciding_atoms_are_refused(model):
    cell = random_cell(0)
    surface = Surface(model)
    pairs = surface.pairs_of(cell)
    pairs.update(np.ones_like(cell.positions), cell.cell)
    with pytest.raises(SamplingError, match="apart"):
        surface.evaluate([pairs], ["melt"])


def test_calculator_follows_changes_of_every_kind(model):
    """Positions, cell, elements and periodicity of one Atoms object, one after the other."""
    atoms = to_atoms(random_cell(2))
    atoms.calc = NeuralNetworkCalculator(model, "thy-x")

    def check():
        from fw_nnp.core.atoms import from_atoms

        (label,) = predict(model, [from_atoms(atoms)])
        assert atoms.get_potential_energy() == pytest.approx(label.energy, abs=1e-10)
        np.testing.assert_allclose(atoms.get_forces(), label.forces, atol=1e-10)
        if atoms.pbc.all():
            np.testing.assert_allclose(atoms.get_stress(voigt=False), label.stress, atol=1e-11)

    check()
    atoms.positions += 0.01
    check()
    atoms.set_cell(atoms.cell * 1.02, scale_atoms=True)
    check()
    atoms.symbols[0] = "Ni" if atoms.symbols[0] == "Al" else "Al"
    check()
    atoms.pbc = (True, True, False)
    check()
