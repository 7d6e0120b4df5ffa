"""Configurations that are nearly equal stay together."""

from __future__ import annotations

import numpy as np
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.near_duplicates import fingerprint, near_duplicate_groups
from fw_nnp.core.records import Configuration


def rattled(seed: int, size: float = 0.1):
    atoms = bulk("Al", cubic=True).repeat(2)
    atoms.rattle(size, seed=seed)
    return atoms


def test_the_fingerprint_ignores_what_does_not_change_a_crystal():
    atoms = rattled(0)
    turned = atoms.copy()
    turned.rotate(33.0, (1.0, 2.0, 3.0), rotate_cell=True)
    order = np.random.default_rng(0).permutation(len(atoms))
    for same in (turned, atoms[order], atoms.repeat((2, 1, 1))):
        np.testing.assert_allclose(
            fingerprint(from_atoms(same)), fingerprint(from_atoms(atoms)), atol=1e-6
        )


def test_a_small_move_changes_it_by_twice_as_much_at_most():
    atoms, d = rattled(0), 0.01
    moved = atoms.copy()
    directions = np.random.default_rng(1).normal(size=(len(atoms), 3))
    moved.positions += d * directions / np.linalg.norm(directions, axis=1)[:, None]
    change = np.abs(fingerprint(from_atoms(moved)) - fingerprint(from_atoms(atoms)))
    assert 0.0 < change.max() < 2.0 * d


def test_near_ones_share_a_group_whatever_the_order():
    cells = []
    for seed in range(4):
        atoms = rattled(seed)
        cells.append(from_atoms(atoms))
        atoms.rattle(0.003, seed=90 + seed)
        cells.append(from_atoms(atoms))
    groups = near_duplicate_groups(cells)
    assert groups[::2] == groups[1::2]
    assert len(set(groups)) == 4
    assert near_duplicate_groups(cells[::-1]) == groups[::-1]


def test_other_elements_are_other_configurations():
    cell = from_atoms(rattled(0))
    other = Configuration(
        cell=cell.cell, positions=cell.positions, numbers=np.full(cell.n_atoms, 28)
    )
    assert len(set(near_duplicate_groups([cell, other]))) == 2
