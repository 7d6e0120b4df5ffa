"""Pairs of a cell that moves: found with a skin, and used again while nothing can have entered.

A list holds all pairs closer than cutoff + skin. It goes on serving until a pair from outside
could have come within the cutoff; every time, the pairs that are within it are picked out, so
that a result does not depend on when the list was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from vesin import NeighborList

from fw_nnp.core.records import FloatArray, IntArray

from .compiled import threads_for
from .kernels import group_pairs
from .neighbours import Int32Array

# No fastmath here: both ends of a pair must find the same distance to the last bit.
_compiled: Any = njit(cache=True, nogil=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrays:
    """Room for the pairs of one or many cells; the layout is that of `AtomBatch`."""

    vectors: FloatArray
    starts: IntArray
    neighbours: Int32Array
    reverse: Int32Array

    @classmethod
    def of(cls, n_rows: int, n_pairs: int) -> Arrays:
        """Uninitialised, for `n_rows` = A Z rows."""
        return cls(
            vectors=np.empty((n_pairs, 3)),
            starts=np.zeros(n_rows + 1, dtype=np.int64),
            neighbours=np.empty(n_pairs, dtype=np.int32),
            reverse=np.empty(n_pairs, dtype=np.int32),
        )


class SkinList:
    """The pairs of one cell of N atoms.

    Parameters
    ----------
    cutoff, skin
        Å. A larger skin is found less often and sorted through longer.
    species, n_species
        (N,) index of each atom's species, below `n_species`.
    pbc
        Periodic along each lattice vector.
    """

    def __init__(
        self,
        *,
        cutoff: float,
        skin: float,
        species: IntArray,
        n_species: int,
        pbc: tuple[bool, bool, bool],
    ) -> None:
        self.cutoff, self.skin = cutoff, skin
        self.species, self.n_species = species, n_species
        self.pbc = pbc
        self.n_built = 0
        self.n_pairs = 0
        self._place = np.empty(0, dtype=np.int32)

    def update(self, positions: FloatArray, cell: FloatArray) -> None:
        """Follow the atoms to (N, 3) `positions` in `cell`; only if it must, search anew.

        Atoms may be wrapped into the cell between calls, and the cell may be strained.
        """
        if self.n_built:
            if not np.array_equal(cell, self._cell):
                self._strain(cell)
            drift = _follow(
                positions, self._start, self._deformation, cell, self._inverse, self._now
            )
            if 2.0 * drift <= self._reach - self.cutoff:
                return
        self._build(positions, cell)

    def pick(
        self, into: Arrays, cutoff: float, first_atom: int = 0, first_pair: int = 0
    ) -> tuple[int, float]:
        """Write the pairs closer than `cutoff` to `into`, counting atoms and pairs from there.

        Parameters
        ----------
        cutoff
            Å, at most that of the list.

        Returns
        -------
        tuple
            One past the last pair, and the shortest distance in Å.
        """
        last, square = _pick(
            self._now,
            self._cell,
            self._starts,
            self._neighbours,
            self._reverse,
            self._shifts,
            cutoff**2,
            self._place,
            first_atom,
            first_pair,
            self.n_species,
            into.vectors,
            into.starts,
            into.neighbours,
            into.reverse,
        )
        return last, float(np.sqrt(square))

    def _build(self, positions: FloatArray, cell: FloatArray) -> None:
        some = any(self.pbc) and not all(self.pbc)
        first, second, shifts = NeighborList(
            cutoff=self.cutoff + self.skin,
            full_list=False,
            n_threads=threads_for(len(positions)),
        ).compute(
            points=positions,
            box=cell,
            periodic=list(self.pbc) if some else all(self.pbc),
            quantities="ijS",
        )
        n_pairs = 2 * len(first)
        arrays = Arrays.of(len(positions) * self.n_species, n_pairs)
        self._shifts: NDArray[np.int32] = np.empty((n_pairs, 3), dtype=np.int32)
        self._starts, self._neighbours = arrays.starts, arrays.neighbours
        self._reverse = arrays.reverse
        group_pairs(
            first.astype(np.int64),
            second.astype(np.int64),
            shifts.astype(np.int32),
            self.species,
            self._shifts,
            self._starts,
            self._neighbours,
            self._reverse,
        )
        if n_pairs > len(self._place):
            self._place = np.empty(n_pairs, dtype=np.int32)
        self.n_pairs = n_pairs
        self.n_built += 1
        self._start, self._now = np.array(positions), np.array(positions)
        self._cell = self._first_cell = np.array(cell)
        self._inverse = _periodic_inverse(cell, self.pbc)
        self._deformation: FloatArray = np.eye(3)
        self._reach = self.cutoff + self.skin

    def _strain(self, cell: FloatArray) -> None:
        """Take over another cell; what it leaves of the reach of the list.

        A vector r of the first cell becomes r F, which is no shorter than |r| times the
        smallest singular value of F.
        """
        self._cell = np.array(cell)
        self._inverse = _periodic_inverse(cell, self.pbc)
        if not all(self.pbc):
            self._reach = 0.0
            return
        self._deformation = np.asarray(np.linalg.solve(self._first_cell, cell))
        shrinks = float(np.linalg.svd(self._deformation, compute_uv=False).min())
        self._reach = (self.cutoff + self.skin) * shrinks


def _periodic_inverse(cell: FloatArray, pbc: tuple[bool, bool, bool]) -> FloatArray:
    """(3, 3), from vectors to multiples of the periodic lattice vectors."""
    rows = np.where(np.array(pbc)[:, None], cell, 0.0)
    return np.ascontiguousarray(np.linalg.inv(rows) if all(pbc) else np.linalg.pinv(rows))


@_compiled
def _follow(positions, start, deformation, cell, inverse, now):  # type: ignore[no-untyped-def]
    """Write the images of `positions` that are nearest to where they were strained to.

    Returns how far the atom that went furthest is from there.
    """
    largest = 0.0
    moved, steps = np.empty(3), np.empty(3)
    for i in range(len(positions)):
        for a in range(3):
            moved[a] = positions[i, a]
            for b in range(3):
                moved[a] -= start[i, b] * deformation[b, a]
        for b in range(3):
            steps[b] = np.rint(
                moved[0] * inverse[0, b] + moved[1] * inverse[1, b] + moved[2] * inverse[2, b]
            )
        square = 0.0
        for a in range(3):
            back = steps[0] * cell[0, a] + steps[1] * cell[1, a] + steps[2] * cell[2, a]
            now[i, a] = positions[i, a] - back
            square += (moved[a] - back) ** 2
        if not square <= largest:  # also where it is not a number
            largest = square
    return np.sqrt(largest)


@_compiled
def _pick(  # type: ignore[no-untyped-def]
    positions,
    cell,
    starts,
    neighbours,
    reverse,
    shifts,
    cutoff_square,
    place,
    first_atom,
    first_pair,
    n_species,
    out_vectors,
    out_starts,
    out_neighbours,
    out_reverse,
):
    """Pairs within the cutoff, close together; returns their end and the shortest square."""
    shortest = np.inf
    kept = first_pair
    first_row = first_atom * n_species
    out_starts[first_row] = kept
    for row in range(len(starts) - 1):
        i = row // n_species
        for e in range(starts[row], starts[row + 1]):
            j = neighbours[e]
            s0, s1, s2 = float(shifts[e, 0]), float(shifts[e, 1]), float(shifts[e, 2])
            x = positions[j, 0] - positions[i, 0]
            y = positions[j, 1] - positions[i, 1]
            z = positions[j, 2] - positions[i, 2]
            x += s0 * cell[0, 0] + s1 * cell[1, 0] + s2 * cell[2, 0]
            y += s0 * cell[0, 1] + s1 * cell[1, 1] + s2 * cell[2, 1]
            z += s0 * cell[0, 2] + s1 * cell[1, 2] + s2 * cell[2, 2]
            square = x * x + y * y + z * z
            if square < cutoff_square:
                place[e] = kept
                out_vectors[kept, 0], out_vectors[kept, 1], out_vectors[kept, 2] = x, y, z
                out_neighbours[kept] = j + first_atom
                kept += 1
                shortest = min(shortest, square)
            else:
                place[e] = -1
        out_starts[first_row + row + 1] = kept
    for e in range(len(neighbours)):
        if place[e] >= 0:
            out_reverse[place[e]] = place[reverse[e]]
    return kept, shortest
