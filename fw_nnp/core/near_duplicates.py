"""Groups of nearly equal configurations, so that a split can keep each of them in one part.

A configuration is described by how far its atoms' nearest neighbours are: the distances to the
1st, 2nd, ... neighbour, each sorted over the atoms and averaged over slices of equally many
atoms. The numbers do not depend on the order of atoms, on rotations, on the choice of the cell
or on its repetition, and moving every atom by d changes none of them by more than 2 d: a finer
kin of the average minimum distances that found the duplicates in the Cambridge Structural
Database (Widdowson et al., MATCH Commun. Math. Comput. Chem. 87, 529, 2022).

Configurations of one composition are joined where these distances agree, and whatever is joined
by a chain is one group: no two configurations of different groups are near-duplicates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .records import Configuration, FloatArray

NEIGHBOURS = 20  # the first two shells of fcc, three of bcc
SLICES = 8  # of the atoms of an element
FARTHEST = 8.0  # Å; a neighbour beyond it counts as being there
NEAR = 0.01
"""Å; near-duplicates agree to this root mean square difference. In nickel at 300 K frames that
are 10 fs apart do, and frames that have forgotten each other differ by 0.02 to 0.04."""


def near_duplicate_groups(configurations: Sequence[Configuration]) -> list[str]:
    """The group of each configuration: the smallest id among its members.

    The answer depends on the set of configurations, not on their order.
    """
    by_composition: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, configuration in enumerate(configurations):
        by_composition[_composition(configuration)].append(index)
    groups = [""] * len(configurations)
    for indices in by_composition.values():
        prints = np.array([fingerprint(configurations[i]) for i in indices])
        cluster = _clusters(prints, NEAR * prints.shape[1] ** 0.5)
        names: dict[int, str] = {}
        for i, number in zip(indices, cluster, strict=True):
            name = configurations[i].id
            names[number] = min(names.get(number, name), name)
        for i, number in zip(indices, cluster, strict=True):
            groups[i] = names[number]
    return groups


def fingerprint(configuration: Configuration) -> FloatArray:
    """(Z * SLICES * NEIGHBOURS,) Å; the elements in the order of their numbers."""
    distances = _neighbour_distances(configuration)
    numbers = configuration.numbers
    return np.concatenate([_slices(distances[numbers == z]).ravel() for z in np.unique(numbers)])


def _composition(configuration: Configuration) -> tuple[int, ...]:
    """Atomic numbers and their counts, in lowest terms."""
    numbers, counts = np.unique(configuration.numbers, return_counts=True)
    return (*numbers.tolist(), *(counts // np.gcd.reduce(counts)).tolist())


def _neighbour_distances(configuration: Configuration) -> FloatArray:
    """(N, NEIGHBOURS) Å from each atom to its nearest ones, at most FARTHEST."""
    positions, images = _with_images(configuration)
    found, _ = cKDTree(images).query(positions, k=NEIGHBOURS + 1, distance_upper_bound=FARTHEST)
    return np.asarray(np.minimum(found[:, 1:], FARTHEST))  # the first is the atom itself


def _with_images(configuration: Configuration) -> tuple[FloatArray, FloatArray]:
    """Positions (N, 3) in the cell, and those (M, 3) of all atoms that may be within FARTHEST."""
    positions = np.array(configuration.positions)
    periodic = np.flatnonzero(configuration.pbc)
    if not len(periodic):
        return positions, positions
    cell = configuration.cell[periodic]
    inverse = np.linalg.pinv(cell)  # its columns are as long as 1 / (distance of lattice planes)
    positions -= np.floor(positions @ inverse) @ cell
    reach = np.ceil(FARTHEST * np.linalg.norm(inverse, axis=0)).astype(int)
    axes = [np.arange(-n, n + 1) for n in reach]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(periodic))
    images = (positions + (shifts @ cell)[:, None]).reshape(-1, 3)
    low, high = positions.min(axis=0) - FARTHEST, positions.max(axis=0) + FARTHEST
    return positions, images[((images >= low) & (images <= high)).all(axis=1)]


def _slices(distances: FloatArray) -> FloatArray:
    """(SLICES, NEIGHBOURS): each column sorted and averaged over equal shares of the rows."""
    n = len(distances)
    sums = np.vstack([np.zeros(NEIGHBOURS), np.cumsum(np.sort(distances, axis=0), axis=0)])
    edges = np.linspace(0.0, n, SLICES + 1)
    row = np.minimum(edges.astype(int), n - 1)
    at_edges = sums[row] + (edges - row)[:, None] * (sums[row + 1] - sums[row])
    return np.asarray(np.diff(at_edges, axis=0) * (SLICES / n))


def _clusters(points: FloatArray, radius: float) -> list[int]:
    """Number of the single-linkage cluster of each point."""
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    links = coo_array(
        (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2
    )
    return [int(number) for number in connected_components(links, directed=False)[1]]
