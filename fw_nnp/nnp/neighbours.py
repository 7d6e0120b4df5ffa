"""Neighbours within the cutoff, periodic images included, as padded arrays per atom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from vesin import NeighborList

from fw_nnp.core.records import Configuration, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbourhood:
    """Every atom's neighbours in J slots; unused slots hold a neighbour at the cutoff.

    There every radial function vanishes with its first three derivatives, so that padding
    needs no mask anywhere.

    Attributes
    ----------
    vectors
        (N, 3, J) Å, from the atom to its neighbour.
    neighbours
        (N, J) index of the neighbour (the atom itself in unused slots).
    reverse
        (N, J) slot of the same pair as seen from the neighbour, as atom * J + slot; an unused
        slot is its own reverse.
    used
        (N, J) whether the slot holds a neighbour.
    """

    vectors: FloatArray
    neighbours: IntArray
    reverse: IntArray
    used: NDArray[np.bool_]

    @property
    def n_slots(self) -> int:
        return self.neighbours.shape[1]

    def shortest(self) -> float:
        """Smallest distance in Å; the cutoff or more where an atom has no neighbour."""
        return float(np.sqrt((self.vectors**2).sum(axis=1).min()))


def find_neighbours(configuration: Configuration, cutoff: float) -> Neighbourhood:
    """All pairs closer than `cutoff` (Å), with as many images of small cells as it takes."""
    n = configuration.n_atoms
    first, second, vectors = _half_list(configuration, cutoff)
    n_half = len(first)
    centre = np.concatenate([first, second])
    other = np.concatenate([second, first])
    partner = np.concatenate([np.arange(n_half, 2 * n_half), np.arange(n_half)])

    order = np.argsort(centre, kind="stable")
    counts = np.bincount(centre, minlength=n)
    n_slots = max(int(counts.max()), 1)
    starts = np.cumsum(counts) - counts
    slot = np.empty(2 * n_half, dtype=np.int64)
    slot[order] = np.arange(2 * n_half) - np.repeat(starts, counts)
    place = centre * n_slots + slot

    flat_vectors = np.zeros((n * n_slots, 3))
    flat_vectors[:, 0] = cutoff
    flat_vectors[place] = np.concatenate([vectors, -vectors])
    neighbours = np.repeat(np.arange(n), n_slots)
    neighbours[place] = other
    reverse = np.arange(n * n_slots)
    reverse[place] = place[partner]
    used = np.zeros(n * n_slots, dtype=bool)
    used[place] = True
    return Neighbourhood(
        vectors=np.ascontiguousarray(flat_vectors.reshape(n, n_slots, 3).transpose(0, 2, 1)),
        neighbours=neighbours.reshape(n, n_slots),
        reverse=reverse.reshape(n, n_slots),
        used=used.reshape(n, n_slots),
    )


def _half_list(
    configuration: Configuration, cutoff: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Each pair once: indices i, j and the vector from i to the image of j."""
    periodic = list(configuration.pbc)
    found = NeighborList(cutoff=cutoff, full_list=False).compute(
        points=configuration.positions,
        box=configuration.cell,
        periodic=periodic if any(periodic) and not all(periodic) else all(periodic),
        quantities="ijD",
    )
    return found[0].astype(np.int64), found[1].astype(np.int64), found[2]
