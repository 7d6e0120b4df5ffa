"""Embedding energies for a block of atoms, there and twice back, compiled by numba.

The twin in plain torch, with the formulas, is `embedding`. From `start` on `weights` holds the
contractions (E, Z K), then a and b of each density (E, 2). Columns are atoms.
"""

from __future__ import annotations

from math import copysign, sqrt

from .jit import serial
from .matrix_kernels import add_outer, matrix, times

SOFT = 0.1
"""Keeps the root smooth where a density vanishes."""
LIMIT = 1.5
"""The largest density whose linear term is linear. By extrapolation within nickel's training cells,
from melts to crystals and back, 1 and 3 are worse."""
_SOFT = SOFT**2


@serial
def _bounded(t, limit, zero, one):  # type: ignore[no-untyped-def]
    """s(t), ds/dt and -(d²s/dt²) / 5 of `embedding.bounded`; the constants are as wide as t."""
    size = abs(t)
    over = max(size - limit, zero)
    u = over / limit
    cube = u * u * u
    rest = one + cube * u
    root = one / sqrt(sqrt(rest))
    slope = root / rest
    bend = cube * slope / (rest * limit)
    return copysign(size - over * (one - root), t), slope, copysign(bend, t)


@serial
def embed(weights, start, count, moments, n, energies, t, slopes):  # type: ignore[no-untyped-def]
    """Add to `energies` (n,); densities and dE/dt of each are written to rows of `t`, `slopes`."""
    functions = len(moments)
    kind = moments.dtype.type
    soft, zero, one, half = kind(_SOFT), kind(0.0), kind(1.0), kind(0.5)
    limit = kind(LIMIT)
    times(matrix(weights, start, count, functions), moments, n, t)
    strengths = matrix(weights, start + count * functions, count, 2)
    for e in range(count):
        a, b = strengths[e, 0], strengths[e, 1]
        for j in range(n):
            x = t[e, j]
            second = sqrt(x * x + soft)
            fourth = sqrt(second)
            kept, by_x, _ = _bounded(x, limit, zero, one)
            energies[j] += a * (kept - one) + b * (fourth - one)
            slopes[e, j] = a * by_x + half * b * x / (second * fourth)


@serial
def embed_back(  # type: ignore[no-untyped-def]
    weights, start, count, moments, n, by_energies, by_h, t, slopes, out
):
    """After `embed`: gradients in the weights, added to `out`, of a loss with dL/dE and dL/dH.

    H is dE/dmoments. `t` and `slopes` end as what is left of them.
    """
    functions = len(moments)
    kind = moments.dtype.type
    soft, zero, one, half = kind(_SOFT), kind(0.0), kind(1.0), kind(0.5)
    limit, most, five = kind(LIMIT), kind(0.75), kind(5.0)
    densities = matrix(weights, start, count, functions)
    by_densities = matrix(out, start, count, functions)
    start += count * functions
    strengths, by_strengths = matrix(weights, start, count, 2), matrix(out, start, count, 2)
    add_outer(slopes, by_h, n, by_densities)  # H = densitiesᵀ slopes
    by_slopes, by_t = slopes, t  # take their places
    times(densities, by_h, n, by_slopes)
    for e in range(count):
        a, b = strengths[e, 0], strengths[e, 1]
        by_a = by_b = zero
        for j in range(n):
            x, by_slope, by_energy = t[e, j], by_slopes[e, j], by_energies[j]
            square = x * x + soft
            second = sqrt(square)
            fourth = sqrt(second)
            power = one / (second * fourth)
            kept, by_x, bend = _bounded(x, limit, zero, one)
            by_a += by_slope * by_x + by_energy * (kept - one)
            by_b += by_slope * half * x * power + by_energy * (fourth - one)
            curvature = b * power * (half - most * x * x / square) - five * a * bend
            by_t[e, j] = by_slope * curvature + by_energy * (a * by_x + half * b * x * power)
        by_strengths[e, 0] += by_a
        by_strengths[e, 1] += by_b
    add_outer(by_t, moments, n, by_densities)
