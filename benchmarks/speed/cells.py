"""The cells that everybody is timed on: rattled aluminium with labels from EMT."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from peers.work import ELEMENT, Cells

LATTICE_CONSTANT = 4.05  # Å
RATTLE = 0.1  # Å, standard deviation
BATCHES = {32: 4, 108: 8}
"""Atoms per cell -> cells per training step, in the two speed benchmarks."""


def make_cells(n_atoms: int, *, count: int, batch_size: int, cutoff: float = 6.0) -> Cells:
    """`count` fcc cubes of `n_atoms` (4 times a cube number), each rattled anew.

    The labels are smooth but otherwise arbitrary: no accuracy is measured on them.
    """
    repeats = round((n_atoms / 4) ** (1 / 3))
    crystal = bulk(ELEMENT, "fcc", a=LATTICE_CONSTANT, cubic=True).repeat(repeats)
    if len(crystal) != n_atoms:
        raise ValueError(f"no fcc cube has {n_atoms} atoms; the next has {len(crystal)}")
    made = []
    for seed in range(count):
        atoms = crystal.copy()
        atoms.rattle(RATTLE, seed=seed)
        atoms.calc = EMT()
        made.append(atoms)
    return Cells(
        cell=np.array([a.cell.array for a in made]),
        positions=np.array([a.positions for a in made]),
        numbers=crystal.numbers,
        energy=np.array([a.get_potential_energy() for a in made]),
        forces=np.array([a.get_forces() for a in made]),
        stress=np.array([a.get_stress(voigt=False) for a in made]),
        cutoff=cutoff,
        batch_size=batch_size,
    )
