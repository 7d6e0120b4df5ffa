"""Relaxation of many cells at once, each by FIRE with its own step, until each is done.

The algorithm is that of Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with ASE's settings;
the cell moves as in Tadmor et al., Phys. Rev. B 59, 235 (1999), and ASE's UnitCellFilter: rows of
a deformation gradient beside the rows of atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, FloatArray, IntArray, Label

from .batch import groups_of
from .many_cells import ManyCells, State
from .surface import Surface

START_STEP, LARGEST_STEP = 0.1, 1.0  # Å / sqrt(eV), FIRE's "time"
LONGEST_MOVE = 0.2  # Å, of a whole cell in one step
PATIENCE = 5  # downhill steps before the time step grows
GROW, SHRINK = 1.1, 0.5
MIX, MIX_DECAY = 0.1, 0.99
BATCH_ATOMS = 2000  # at once: enough to make the overhead of a step small


@dataclass(frozen=True, kw_only=True, eq=False)
class Relaxed:
    """One cell after relaxation; `largest_force` in eV/Å is what `fmax` is compared with."""

    configuration: Configuration
    label: Label
    steps: int
    largest_force: float
    converged: bool


def relax(
    surface: Surface,
    configurations: Sequence[Configuration],
    *,
    fmax: float,
    cell: bool = False,
    most_steps: int = 1000,
    theory_id: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> list[Relaxed]:
    """Move atoms, and the cell if asked, until no force is larger than `fmax`.

    Cells leave the batch when they are done.

    Parameters
    ----------
    fmax
        eV/Å. With `cell`, rows of the virial over the number of atoms (eV) count as forces.
    cell
        Relax the cells to zero stress, too; they must be periodic in three directions.
    most_steps
        Of each cell.
    theory_id
        Of the labels.
    progress
        Told how many cells are done, after every step.

    Raises
    ------
    SpecError
        An element that the model does not know, or a cell that cannot be relaxed.
    """
    if cell:
        _must_be_periodic(configurations)
    found: list[Relaxed] = []
    for group in groups_of(configurations, BATCH_ATOMS):
        before = len(found)
        relaxing = _Relaxing(ManyCells(surface, group), cell, fmax, theory_id)
        for _ in range(most_steps):
            progress(before + relaxing.step())
            if relaxing.done:
                break
        found += relaxing.finish()
        progress(len(found))
    return found


def _must_be_periodic(configurations: Sequence[Configuration]) -> None:
    for index, configuration in enumerate(configurations):
        if not all(configuration.pbc):
            raise SpecError(
                "not periodic in three directions, so its cell cannot relax",
                place=f"cell {index + 1}",
                remedy="relax the atoms only",
            )


class _Relaxing:
    """Some cells on their way, and those that have arrived."""

    def __init__(self, moving: ManyCells, cell: bool, fmax: float, theory_id: str) -> None:
        self._moving = moving
        self._fire = _Fire(moving, cell)
        self._fmax = fmax
        self._theory_id = theory_id
        self._names = np.arange(len(moving))
        self._found: dict[int, Relaxed] = {}
        self._steps = 0
        self.done = False

    def step(self) -> int:
        """Let cells that are done leave, then move the others; how many are done."""
        forces = self._leave(only_converged=True)
        if not self.done:
            self._fire.move(forces)
            self._steps += 1
        return len(self._found)

    def finish(self) -> list[Relaxed]:
        """All cells in order, those that are still on their way as they are."""
        if not self.done:
            self._leave(only_converged=False)
        return [self._found[index] for index in sorted(self._found)]

    def _leave(self, *, only_converged: bool) -> FloatArray:
        """Forces on the cells that stay."""
        moving = self._moving
        state = moving.evaluate()
        forces = self._fire.forces(state)
        largest = self._fire.largest(state)
        converged = largest <= self._fmax
        going = converged if only_converged else np.full(len(moving), True)
        for index in np.nonzero(going)[0].tolist():
            self._found[int(self._names[index])] = Relaxed(
                configuration=moving.configuration(index),
                label=moving.label(index, state, self._theory_id),
                steps=self._steps,
                largest_force=float(largest[index]),
                converged=bool(converged[index]),
            )
        self.done = bool(going.all())
        if self.done or not going.any():
            return forces
        chosen = np.nonzero(~going)[0]
        self._names = self._names[chosen]
        return self._fire.keep(chosen, forces)


class _Fire:
    """Velocities and steps of B cells; a row is an atom, or a row of a deformation gradient."""

    def __init__(self, moving: ManyCells, cell: bool) -> None:
        self._moving = moving
        self._cell = cell
        n = len(moving)
        self._first_cells = moving.cells.copy()
        self._gradient = np.tile(np.eye(3), (n, 1, 1))
        self._own()
        self._velocities = np.zeros((len(self._owner), 3))
        self._step, self._mix = np.full(n, START_STEP), np.full(n, MIX)
        self._downhill = np.full(n, -1)  # -1: not moved yet

    def _own(self) -> None:
        n = len(self._moving)
        rows_of_cells = np.repeat(np.arange(n), 3 if self._cell else 0)
        self._owner = np.concatenate([self._moving.owner, rows_of_cells])

    def forces(self, state: State) -> FloatArray:
        """(rows, 3) generalised forces."""
        if not self._cell:
            return state.forces
        atoms = np.einsum("aj,ajk->ak", state.forces, self._gradient[self._moving.owner])
        virials = np.linalg.solve(self._gradient, -state.virials.transpose(0, 2, 1))
        rows = virials.transpose(0, 2, 1) / self._moving.counts[:, None, None]
        return np.concatenate([atoms, rows.reshape(-1, 3)])

    def largest(self, state: State) -> FloatArray:
        """(B,) largest norm of a force on an atom, or of a row of the virial, of each cell.

        Not of the generalised forces, which are of the cell as it was at the start.
        """
        rows = state.forces
        if self._cell:
            virials = state.virials / self._moving.counts[:, None, None]
            rows = np.concatenate([rows, virials.reshape(-1, 3)])
        largest = np.zeros(len(self._moving))
        np.maximum.at(largest, self._owner, np.linalg.norm(rows, axis=1))
        return largest

    def keep(self, chosen: IntArray, forces: FloatArray) -> FloatArray:
        """Forget the other cells; the forces of those that stay."""
        rows = np.isin(self._owner, chosen)
        self._moving.keep(chosen.tolist())
        for name in ("_first_cells", "_gradient", "_step", "_mix", "_downhill"):
            setattr(self, name, getattr(self, name)[chosen])
        self._velocities = self._velocities[rows]
        self._own()
        return forces[rows]

    def move(self, forces: FloatArray) -> None:
        """One step of FIRE in every cell."""
        v, owner = self._velocities, self._owner
        power = self._dot(forces, v)
        norms = np.sqrt(self._dot(v, v) / np.maximum(self._dot(forces, forces), 1e-300))
        downhill = (power > 0.0)[owner, None]
        mix = self._mix[owner, None]
        mixed = (1.0 - mix) * v + mix * norms[owner, None] * forces
        v = np.where(downhill, mixed, 0.0)
        self._adapt(power > 0.0)
        step = self._step[owner, None]
        self._velocities = v + step * forces
        moves = step * self._velocities
        lengths = np.sqrt(self._dot(moves, moves))
        self._shift(
            moves * np.minimum(1.0, LONGEST_MOVE / np.maximum(lengths, 1e-300))[owner, None]
        )

    def _adapt(self, downhill: NDArray[np.bool_]) -> None:
        """Longer steps where it goes downhill for long, shorter ones where it went uphill."""
        patient = downhill & (self._downhill > PATIENCE)
        uphill = ~downhill & (self._downhill >= 0)
        self._step[patient] = np.minimum(self._step[patient] * GROW, LARGEST_STEP)
        self._mix[patient] *= MIX_DECAY
        self._step[uphill] *= SHRINK
        self._mix[uphill] = MIX
        self._downhill = np.where(downhill, self._downhill + 1, 0)

    def _shift(self, moves: FloatArray) -> None:
        moving, owner = self._moving, self._moving.owner
        if not self._cell:
            moving.positions = moving.positions + moves
            return
        n_atoms = len(moving.positions)
        back = np.linalg.inv(self._gradient).transpose(0, 2, 1)[owner]
        rows = np.einsum("aj,ajk->ak", moving.positions, back) + moves[:n_atoms]
        steps = moves[n_atoms:].reshape(-1, 3, 3) / moving.counts[:, None, None]
        self._gradient = self._gradient + steps
        forth = self._gradient.transpose(0, 2, 1)
        moving.positions = np.einsum("aj,ajk->ak", rows, forth[owner])
        moving.cells = self._first_cells @ forth

    def _dot(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """(B,) scalar products cell by cell."""
        products = np.einsum("ra,ra->r", a, b)
        return np.bincount(self._owner, products, minlength=len(self._moving)).astype(np.float64)
