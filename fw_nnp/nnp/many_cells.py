"""Many cells of any sizes as one batch: what relaxes or moves together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, FloatArray, IntArray, Label

from .surface import Surface


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """Energies and forces of B cells with A atoms in all.

    Attributes
    ----------
    energies
        (B,) eV.
    forces
        (A, 3) eV/Å.
    virials
        (B, 3, 3) eV, V times the stress.
    """

    energies: FloatArray
    forces: FloatArray
    virials: FloatArray


class ManyCells:
    """B cells, their atoms one after the other.

    Parameters
    ----------
    surface
        Of the model.
    configurations
        Where they start.

    Attributes
    ----------
    positions
        (A, 3) Å; written by whoever moves the atoms.
    cells
        (B, 3, 3) Å, likewise.
    owner
        (A,) index of the cell that each atom belongs to.
    counts
        (B,) atoms of each cell.
    """

    def __init__(self, surface: Surface, configurations: Sequence[Configuration]) -> None:
        if not configurations:
            raise SpecError("no cells", remedy="give at least one configuration")
        self._surface = surface
        self._initial = list(configurations)
        self._lists = [surface.pairs_of(configuration) for configuration in configurations]
        self.positions = np.concatenate([c.positions for c in configurations])
        self.cells: FloatArray = np.stack([c.cell for c in configurations])
        self._index()

    def _index(self) -> None:
        self.counts: IntArray = np.array([c.n_atoms for c in self._initial])
        self.owner: IntArray = np.repeat(np.arange(len(self.counts)), self.counts)
        self.numbers: IntArray = np.concatenate([c.numbers for c in self._initial])
        self._first = np.cumsum(self.counts) - self.counts

    def __len__(self) -> int:
        return len(self.counts)

    def rows(self, index: int) -> slice:
        """The atoms of one cell."""
        return slice(int(self._first[index]), int(self._first[index] + self.counts[index]))

    def total(self, values: FloatArray) -> FloatArray:
        """Sums (B, ...) over the atoms of each cell of values (A, ...)."""
        return np.asarray(np.add.reduceat(values, self._first, axis=0))

    def evaluate(self) -> State:
        """Energies, forces and virials where the atoms are now."""
        for index, pairs in enumerate(self._lists):
            pairs.update(self.positions[self.rows(index)], self.cells[index])
        found = self._surface.evaluate(self._lists, [c.id for c in self._initial])
        return State(
            energies=self.total(found.energies),
            forces=found.forces,
            virials=self.total(found.virials),
        )

    def configuration(self, index: int) -> Configuration:
        """One cell as it is now."""
        start = self._initial[index]
        return Configuration(
            cell=self.cells[index],
            positions=self.positions[self.rows(index)],
            numbers=start.numbers,
            pbc=start.pbc,
        )

    def label(self, index: int, state: State, theory_id: str) -> Label:
        """What `state` says of one cell."""
        now = self.configuration(index)
        return Label(
            configuration_id=now.id,
            theory_id=theory_id,
            energy=float(state.energies[index]),
            forces=state.forces[self.rows(index)],
            stress=state.virials[index] / now.volume if all(now.pbc) else None,
        )

    def keep(self, chosen: Sequence[int]) -> IntArray:
        """Let the other cells leave the batch; the indices of the atoms that stay."""
        atoms = np.concatenate([np.arange(len(self.owner))[self.rows(i)] for i in chosen])
        self.positions, self.cells = self.positions[atoms], self.cells[list(chosen)]
        self._initial = [self._initial[i] for i in chosen]
        self._lists = [self._lists[i] for i in chosen]
        self._index()
        return atoms
