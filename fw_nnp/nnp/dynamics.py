"""Molecular dynamics of many cells at once: constant energy, or a Langevin thermostat.

Velocity Verlet; with a thermostat the splitting BAOAB of Leimkuhler and Matthews, Appl. Math.
Res. Express 2013, 34, which samples positions most accurately for its step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_masses

from fw_nnp.core.records import Configuration, FloatArray
from fw_nnp.core.units import AMU, KB

from .many_cells import ManyCells, State
from .surface import Surface


class Dynamics:
    """Cells on their way; each has its own random numbers, whatever else is in the batch.

    Parameters
    ----------
    surface
        Of the model.
    configurations
        Where they start.
    timestep
        fs.
    temperature
        K, of the velocities at the start and of the thermostat; one number, or one per cell.
    friction
        1/fs of the thermostat; 0 for constant energy.
    seeds
        One per cell.

    Attributes
    ----------
    cells
        The cells as they are now.
    velocities
        (A, 3) Å/fs.
    state
        Energies and forces now.
    time
        fs since the start.
    """

    def __init__(
        self,
        surface: Surface,
        configurations: Sequence[Configuration],
        *,
        timestep: float,
        temperature: float | Sequence[float],
        friction: float = 0.0,
        seeds: Sequence[int],
    ) -> None:
        self.cells = ManyCells(surface, configurations)
        self.state: State = self.cells.evaluate()
        self.time = 0.0
        self._timestep = timestep
        self._memory = float(np.exp(-friction * timestep))
        self._random = [np.random.default_rng(seed) for seed in seeds]
        owner = self.cells.owner
        self._masses: FloatArray = AMU * atomic_masses[self.cells.numbers][:, None]
        wanted = np.broadcast_to(np.asarray(temperature, dtype=float), len(self.cells))
        self._spread = np.sqrt(KB * wanted[owner, None] / self._masses)
        self.velocities = self._spread * self._noise()
        momenta = self.cells.total(self._masses * self.velocities)
        self.velocities -= (momenta / self.cells.total(self._masses))[owner]

    def run(self, steps: int) -> None:
        """Go on by so many steps."""
        half = 0.5 * self._timestep
        for _ in range(steps):
            self.velocities += half * self.state.forces / self._masses
            self.cells.positions = self.cells.positions + half * self.velocities
            if self._memory < 1.0:
                kick = np.sqrt(1.0 - self._memory**2) * self._spread * self._noise()
                self.velocities = self._memory * self.velocities + kick
            self.cells.positions = self.cells.positions + half * self.velocities
            self.state = self.cells.evaluate()
            self.velocities += half * self.state.forces / self._masses
            self.time += self._timestep

    def kinetic_energies(self) -> FloatArray:
        """(B,) eV."""
        squares = (self._masses * self.velocities**2).sum(axis=1)
        return 0.5 * self.cells.total(squares)

    def temperatures(self) -> FloatArray:
        """(B,) K, from 3 N degrees of freedom, less 3 where the centre of mass is at rest."""
        at_rest = 3 if self._memory == 1.0 else 0
        freedoms = np.maximum(3 * self.cells.counts - at_rest, 1)
        return 2.0 * self.kinetic_energies() / (KB * freedoms)

    def _noise(self) -> FloatArray:
        numbers = zip(self._random, self.cells.counts.tolist(), strict=True)
        return np.concatenate([random.standard_normal((n, 3)) for random, n in numbers])
