"""Neighbours and bond-orientational order of many cells at once.

Bonds are weighted with a smooth function of the distance in units of the atom's own
nearest-neighbour distance, so that fcc and hcp count 12 neighbours, bcc 14, and nothing jumps
when an atom crosses a shell. Images count: in a cell of 4 atoms most neighbours are images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Legendre, Polynomial
from numpy.typing import NDArray
from vesin import NeighborList

from fw_nnp.core.records import Configuration, FloatArray, IntArray

ComplexArray = NDArray[np.complex128]

_NEAREST = 8  # neighbours whose mean distance is the atom's length scale (bcc has 8)
_REACH = 1.9  # search radius in units of (V/N)^(1/3); holds 28 neighbours at uniform density
_INNER, _OUTER = 1.2, 1.4  # the weight of a bond falls from 1 to 0 in between


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Neighbours of the atoms of all cells, atoms numbered through (A in all, P pairs).

    Attributes
    ----------
    first, second
        (P,) atoms of each pair; each pair is listed from both ends.
    vectors, distances
        (P, 3) and (P,) Å, from `first` to `second`.
    cells
        (A,) number of the cell that each atom belongs to.
    """

    first: IntArray
    second: IntArray
    vectors: FloatArray
    distances: FloatArray
    cells: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Bonds:
    """Pairs with a weight: ``pairs`` of neighbours only, `weights` (P,) between 0 and 1."""

    pairs: Pairs
    weights: FloatArray

    def count(self) -> FloatArray:
        """(A,) number of neighbours."""
        return np.bincount(self.pairs.first, self.weights, len(self.pairs.cells)).astype(float)

    def sum(self, values: ComplexArray) -> ComplexArray:
        """(P, n) -> (A, n) weighted sum over the bonds of each atom."""
        n = len(self.pairs.cells)
        return np.stack(
            [
                np.bincount(self.pairs.first, self.weights * column.real, n)
                + 1j * np.bincount(self.pairs.first, self.weights * column.imag, n)
                for column in values.T
            ],
            axis=1,
        )


def find_pairs(configurations: Sequence[Configuration]) -> Pairs:
    """The neighbours within 1.9 (V/N)^(1/3) in all `configurations`."""
    first, second, vectors, distances = [], [], [], []
    sizes = [configuration.n_atoms for configuration in configurations]
    starts = np.cumsum(sizes) - sizes
    for configuration, start in zip(configurations, starts, strict=True):
        reach = _REACH * (configuration.volume / configuration.n_atoms) ** (1.0 / 3.0)
        i, j, vector, distance = NeighborList(cutoff=reach, full_list=True).compute(
            configuration.positions, configuration.cell, configuration.pbc, quantities="ijDd"
        )
        first.append(i.astype(np.int64) + start)
        second.append(j.astype(np.int64) + start)
        vectors.append(vector)
        distances.append(distance)
    return Pairs(
        first=np.concatenate(first),
        second=np.concatenate(second),
        vectors=np.concatenate(vectors),
        distances=np.concatenate(distances),
        cells=np.repeat(np.arange(len(sizes)), sizes),
    )


def bonds_of(pairs: Pairs) -> Bonds:
    """The weighted bonds among `pairs`."""
    scale = _length_scale(pairs.first, pairs.distances, len(pairs.cells))
    weights = _switch(pairs.distances / scale[pairs.first])
    near = weights > 0.0
    bonded = Pairs(
        first=pairs.first[near],
        second=pairs.second[near],
        vectors=pairs.vectors[near],
        distances=pairs.distances[near],
        cells=pairs.cells,
    )
    return Bonds(pairs=bonded, weights=weights[near])


def _length_scale(first: IntArray, distances: FloatArray, n_atoms: int) -> FloatArray:
    """(A,) mean distance of the nearest 8 neighbours of each atom (of all, where fewer)."""
    order = np.lexsort((distances, first))
    counts = np.bincount(first, minlength=n_atoms)
    starts = np.cumsum(counts) - counts
    atom = first[order]
    near = np.arange(len(order)) - starts[atom] < _NEAREST
    total = np.bincount(atom[near], distances[order][near], n_atoms)
    return np.asarray(total / np.clip(counts, 1, _NEAREST))


def _switch(x: FloatArray) -> FloatArray:
    """1 below `_INNER`, 0 above `_OUTER`, a half cosine wave in between."""
    phase = np.clip((x - _INNER) / (_OUTER - _INNER), 0.0, 1.0)
    return 0.5 * (1.0 + np.cos(np.pi * phase))


def harmonics(degree: int, vectors: FloatArray) -> ComplexArray:
    """(P, 3) -> (P, degree + 1) spherical harmonics Y_lm, m >= 0.

    Polynomials in the unit vector, some five times faster than scipy, which the tests compare with.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-9)  # atoms on top of each other have no direction
    legendre = Legendre.basis(degree)
    xy = -unit[:, 0] - 1j * unit[:, 1]
    columns = []
    for m in range(degree + 1):
        factorials = math.factorial(degree - m) / math.factorial(degree + m)
        norm = math.sqrt((2 * degree + 1) / (4 * math.pi) * factorials)
        polynomial = legendre.deriv(m).convert(kind=Polynomial)
        columns.append(norm * polynomial(unit[:, 2]) * xy**m)
    return np.stack(columns, axis=1)


def averaged_order(degree: int, bonds: Bonds) -> FloatArray:
    """(A,) q̄_l of each atom: moments averaged over the atom and its neighbours.

    W. Lechner and C. Dellago, J. Chem. Phys. 129, 114707 (2008), eqs. 5 and 6, with weighted
    bonds. An atom without neighbours has 0.
    """
    count = bonds.count()[:, None]
    moments = bonds.sum(harmonics(degree, bonds.pairs.vectors)) / np.where(count > 0.0, count, 1.0)
    averaged = (moments + bonds.sum(moments[bonds.pairs.second])) / (1.0 + count)
    power = np.abs(averaged) ** 2  # m and -m have the same
    total = power[:, 0] + 2.0 * power[:, 1:].sum(axis=1)
    return np.asarray(np.sqrt(4.0 * math.pi / (2 * degree + 1) * total))
