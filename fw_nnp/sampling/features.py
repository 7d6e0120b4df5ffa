"""A cheap description of a cell, the space in which frames are compared.

Per cell: the length (V/N)^(1/3); mean and spread over the atoms of twelve smooth counts of
neighbours by distance (in units of that length); mean and spread of the averaged bond orders
q̄4 and q̄6. Invariant to rotation, translation, order of atoms and repetition of the cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fw_nnp.core.records import Configuration, FloatArray, IntArray

from .bonds import averaged_order, bonds_of, find_pairs

_CENTRES = np.linspace(0.75, 1.85, 12)
_WIDTH = 0.1
_BATCH = 1000  # cells at a time, to bound the memory


def features(configurations: Sequence[Configuration]) -> FloatArray:
    """(B, 29) features of `configurations`, each column with its own natural scale."""
    batches = range(0, len(configurations), _BATCH)
    return np.concatenate([_features(configurations[i : i + _BATCH]) for i in batches])


def _features(configurations: Sequence[Configuration]) -> FloatArray:
    pairs = find_pairs(configurations)
    lengths = np.array([(c.volume / c.n_atoms) ** (1.0 / 3.0) for c in configurations])
    reduced = pairs.distances / lengths[pairs.cells[pairs.first]]
    counts = [
        np.bincount(pairs.first, np.exp(-0.5 * ((reduced - x) / _WIDTH) ** 2), len(pairs.cells))
        for x in _CENTRES
    ]
    bonds = bonds_of(pairs)
    orders = [averaged_order(degree, bonds) for degree in (4, 6)]
    atoms = np.stack([*counts, *orders], axis=1)
    mean = _cell_mean(atoms, pairs.cells)
    square = _cell_mean(atoms**2, pairs.cells)
    spread = np.sqrt(np.clip(square - mean**2, 0.0, None))
    return np.column_stack([lengths, mean, spread])


def _cell_mean(values: FloatArray, cells: IntArray) -> FloatArray:
    sums = [np.bincount(cells, column) for column in values.T]
    return np.asarray(np.stack(sums, axis=1) / np.bincount(cells)[:, None])


def standardised(values: FloatArray) -> FloatArray:
    """Columns with mean 0 and spread 1 (0 where all are equal), over √columns.

    The distance of two rows is then about √2 for unrelated frames.
    """
    spread = values.std(axis=0)
    safe = np.where(spread > 1e-8, spread, np.inf)
    return np.asarray((values - values.mean(axis=0)) / safe / np.sqrt(values.shape[1]))
