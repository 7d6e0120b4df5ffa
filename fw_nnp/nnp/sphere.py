"""Products of functions on the sphere: an exact quadrature and the coefficients that follow."""

from __future__ import annotations

from functools import cache
from math import cos, pi, sin, sqrt
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .harmonics import degrees, solid_harmonics


@cache
def quadrature(l_max: int) -> tuple[Tensor, Tensor]:
    """Points and weights that average products of three functions up to degree `l_max` exactly.

    Gauss-Legendre in the polar angle, equal steps in the azimuth.

    Returns
    -------
    tuple of Tensor
        (P, (l_max + 1)²) values (2 l + 1) S_lm of the harmonics, so that a density with the
        moments M_lm is sum_lm (2 l + 1) M_lm S_lm; and (P,) weights, which add up to 1; float64.
    """
    degree = 3 * l_max
    heights, shares = np.polynomial.legendre.leggauss(degree // 2 + 1)
    turns = [2.0 * pi * k / (degree + 1) for k in range(degree + 1)]
    points = [
        (sqrt(1.0 - z * z) * cos(turn), sqrt(1.0 - z * z) * sin(turn), z)
        for z in heights
        for turn in turns
    ]
    values = solid_harmonics(torch.tensor(points, dtype=torch.float64).T[None], l_max)[0].T
    values = values * (2.0 * torch.tensor(degrees(l_max), dtype=torch.float64) + 1.0)
    weights = torch.tensor(shares / shares.sum()).repeat_interleave(len(turns)) / len(turns)
    return values, weights


class Triples(NamedTuple):
    """The coefficients G_abc that do not vanish, as the compiled kernels take them.

    Those of a are the entries ``entry[a] : entry[a + 1]``; of (b, c) and (c, b) one is there,
    with a factor that is halved where b = c.
    """

    entry: NDArray[np.int64]
    second: NDArray[np.int64]
    third: NDArray[np.int64]
    factor: NDArray[np.floating]


@cache
def triples(l_max: int, dtype: str) -> Triples:
    """Gaunt coefficients G_abc up to degree `l_max`: averages of three harmonics (2 l + 1) S_lm."""
    values, weights = (tensor.numpy() for tensor in quadrature(l_max))
    table = np.einsum("p,pa,pb,pc->abc", weights, values, values, values)
    upper = np.triu(np.ones(table.shape[1:])) - 0.5 * np.eye(len(table))
    first, second, third = np.nonzero((np.abs(table) > 1e-10) & (upper > 0.0))
    factor = table[first, second, third] * upper[second, third]
    entry = np.searchsorted(first, np.arange(len(table) + 1))
    return Triples(entry=entry, second=second, third=third, factor=factor.astype(dtype))
