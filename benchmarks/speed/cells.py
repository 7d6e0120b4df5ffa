"""The cells that everybody is timed on: rattled aluminium with labels from EMT."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from peers.work import Cells

LATTICE_CONSTANT = 4.05  # Å
RATTLE = 0.1  # Å
REPEATS = {32: 2, 108: 3}
"""Atoms per fcc cell -> repeats of the cube along each axis."""
BATCHES = {32: 4, 108: 8}
"""Atoms per cell -> cells per training step."""


def make_cells(n_atoms: int, *, count: int = 8, cutoff: float = 6.0) -> Cells:
    """`count` fcc cells of `n_atoms`, each rattled anew, with arbitrary but smooth labels."""
    crystal = bulk("Al", "fcc", a=LATTICE_CONSTANT, cubic=True).repeat(REPEATS[n_atoms])
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
        batch_size=BATCHES[n_atoms],
    )
