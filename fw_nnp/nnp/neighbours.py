"""Neighbours within the cutoff, periodic images included, grouped by atom and species."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from vesin import NeighborList

from fw_nnp.core.records import Configuration, FloatArray, IntArray

from .compiled import threads_for
from .kernels import group_pairs

Int32Array = NDArray[np.int32]


class Pairs(Protocol):
    """Pairs of N atoms, each from both its ends; the layout is that of `AtomBatch`."""

    @property
    def vectors(self) -> FloatArray: ...
    @property
    def starts(self) -> IntArray: ...
    @property
    def neighbours(self) -> Int32Array: ...
    @property
    def reverse(self) -> Int32Array: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbourhood:
    """All pairs of N atoms, each from both its ends; the layout is that of `AtomBatch`.

    Attributes
    ----------
    vectors
        (E, 3) Å, from the atom to its neighbour.
    starts
        (N Z + 1,) first pair of every atom and species of neighbour.
    neighbours
        (E,) index of the neighbour.
    reverse
        (E,) index of the same pair as seen from the neighbour.
    shortest
        Smallest distance in Å; infinity without pairs.
    """

    vectors: FloatArray
    starts: IntArray
    neighbours: Int32Array
    reverse: Int32Array
    shortest: float

    @property
    def centres(self) -> IntArray:
        """(E,) index of the atom that each pair belongs to."""
        return self.neighbours[self.reverse].astype(np.int64)

    def distances(self) -> FloatArray:
        """(E,) Å."""
        return np.asarray(np.sqrt(np.einsum("ea,ea->e", self.vectors, self.vectors)))


def find_neighbours(
    configuration: Configuration, cutoff: float, species: IntArray, n_species: int
) -> Neighbourhood:
    """All pairs closer than `cutoff` (Å), with as many images of small cells as it takes.

    Parameters
    ----------
    species
        (N,) index of each atom's species, below `n_species`.
    """
    periodic = list(configuration.pbc)
    first, second, half = NeighborList(
        cutoff=cutoff, full_list=False, n_threads=threads_for(configuration.n_atoms)
    ).compute(
        points=configuration.positions,
        box=configuration.cell,
        periodic=periodic if any(periodic) and not all(periodic) else all(periodic),
        quantities="ijD",
    )
    n_pairs = 2 * len(first)
    vectors = np.empty((n_pairs, 3))
    starts = np.zeros(configuration.n_atoms * n_species + 1, dtype=np.int64)
    neighbours = np.empty(n_pairs, dtype=np.int32)
    reverse = np.empty(n_pairs, dtype=np.int32)
    shortest = group_pairs(
        first.astype(np.int64),
        second.astype(np.int64),
        half,
        species,
        vectors,
        starts,
        neighbours,
        reverse,
    )
    return Neighbourhood(
        vectors=vectors,
        starts=starts,
        neighbours=neighbours,
        reverse=reverse,
        shortest=float(shortest),
    )
