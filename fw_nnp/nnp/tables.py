"""Constants of the harmonics up to a degree, as the compiled kernels take them."""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .harmonics import ladder


class Tables(NamedTuple):
    """Recursion factors of S_lm and the entries of its derivative.

    With unit vectors, S_lm = rise z S_(l-1)m - fall S_(l-2)m for \\|m\\| < l; at \\|m\\| = l it is
    rise (x + iy) S_(l-1)(l-1). dS_lm/dx_a is the sum of factor S_lower over the entries
    ``entry[lm] : entry[lm + 1]`` whose axis is a (`harmonics.ladder`, its zeros left out).
    """

    rise: NDArray[np.floating]
    fall: NDArray[np.floating]
    entry: NDArray[np.int64]
    axis: NDArray[np.int64]
    lower: NDArray[np.int64]
    factor: NDArray[np.floating]


@cache
def tables(l_max: int, dtype: str) -> Tables:
    """The constants up to degree `l_max` as ``float32`` or ``float64``."""
    n_harmonics = (l_max + 1) ** 2
    rise, fall = np.zeros(n_harmonics), np.zeros(n_harmonics)
    for degree in range(1, l_max + 1):
        for m in range(-degree, degree + 1):
            index = degree * degree + degree + m
            if abs(m) < degree:
                scale = 1.0 / sqrt(degree**2 - m**2)
                rise[index] = (2 * degree - 1) * scale
                fall[index] = sqrt(max((degree - 1) ** 2 - m**2, 0)) * scale
            else:
                rise[index] = sqrt((2 * degree - 1) / (2 * degree)) if degree > 1 else 1.0
    steps = ladder(l_max).numpy()
    found = [np.argwhere(steps[:, lm]) for lm in range(n_harmonics)]
    axis = np.concatenate([pair[:, 0] for pair in found])
    lower = np.concatenate([pair[:, 1] for pair in found])
    upper = np.repeat(np.arange(n_harmonics), [len(pair) for pair in found])
    return Tables(
        rise=rise.astype(dtype),
        fall=fall.astype(dtype),
        entry=np.cumsum([0] + [len(pair) for pair in found]),
        axis=axis,
        lower=lower,
        factor=steps[axis, upper, lower].astype(dtype),
    )
