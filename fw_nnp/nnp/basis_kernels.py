"""Radial functions and harmonics of the neighbours of one atom, compiled by numba.

A "row" is a radial function, a harmonic or an axis, with one column per neighbour. Most loops write
one row: that of two do not overlap, the compiler could not know.
"""

from __future__ import annotations

import numpy as np

from .jit import serial
from .matrix_kernels import padded, unsigned

LANES = 16
"""Neighbours are padded to a multiple of it, so that no loop has a scalar rest."""


@serial
def harmonics(units, n_columns, rise, fall, l_max, y):  # type: ignore[no-untyped-def]
    """Rows of S_lm(u); `rise` and `fall` are the factors of the recursion in degree."""
    n = unsigned(n_columns)
    ux, uy, uz = units[0], units[1], units[2]
    for j in range(n):
        y[0, j] = 1.0
    for degree in range(1, l_max + 1):
        centre, below = degree * degree + degree, (degree - 1) * (degree - 1) + degree - 1
        lowest = (degree - 2) * (degree - 2) + degree - 2
        for m in range(1 - degree, degree):
            up, down = rise[centre + m], fall[centre + m]
            new, one = unsigned(centre + m), unsigned(below + m)
            if down == 0.0:
                for j in range(n):
                    y[new, j] = up * uz[j] * y[one, j]
            else:
                two = unsigned(lowest + m)
                for j in range(n):
                    y[new, j] = up * uz[j] * y[one, j] - down * y[two, j]
        up = rise[centre + degree]
        first, last = unsigned(centre - degree), unsigned(centre + degree)
        if degree == 1:
            for j in range(n):
                y[last, j] = ux[j]
            for j in range(n):
                y[first, j] = uy[j]
        else:
            cosine, sine = unsigned(below + degree - 1), unsigned(below - degree + 1)
            for j in range(n):
                y[last, j] = up * (ux[j] * y[cosine, j] - uy[j] * y[sine, j])
            for j in range(n):
                y[first, j] = up * (ux[j] * y[sine, j] + uy[j] * y[cosine, j])


@serial
def radial(inverse, n_columns, cutoff, n_basis, f, slope):  # type: ignore[no-untyped-def]
    """Rows of f_k(r) and df_k/dr, as `radial.radial_functions`.

    Times the envelope, Chebyshev polynomials keep their recursion f_k = 2 t f_(k-1) - f_(k-2),
    and the slopes follow by differentiating it.
    """
    n = unsigned(n_columns)
    one, two = inverse.dtype.type(1.0), inverse.dtype.type(2.0)
    per = one / cutoff
    x, t, rate = np.empty_like(inverse), np.empty_like(inverse), np.empty_like(inverse)
    for j in range(n):
        share = per / inverse[j]
        x[j] = share if share < one else one
    for j in range(n):
        rest = one - x[j] * x[j]
        f[0, j] = rest * rest * rest * rest
    for j in range(n):
        rest = one - x[j] * x[j]
        slope[0, j] = -two * two * two * per * x[j] * rest * rest * rest
    for j in range(n):
        rest = one - x[j] * x[j]
        t[j] = two * rest * rest - one
    for j in range(n):
        rate[j] = -two * two * two * per * x[j] * (one - x[j] * x[j])
    if n_basis > 1:
        for j in range(n):
            f[1, j] = t[j] * f[0, j]
        for j in range(n):
            slope[1, j] = rate[j] * f[0, j] + t[j] * slope[0, j]
    for new in range(unsigned(2), unsigned(n_basis)):
        before, last = new - unsigned(2), new - unsigned(1)
        for j in range(n):
            f[new, j] = two * t[j] * f[last, j] - f[before, j]
        for j in range(n):
            slope[new, j] = two * (rate[j] * f[last, j] + t[j] * slope[last, j]) - slope[before, j]


@serial
def geometry(vectors, cutoff, inverse, units):  # type: ignore[no-untyped-def]
    """1/r and directions of some neighbours, then neighbours at the cutoff up to full vectors."""
    n, kind = unsigned(len(vectors)), vectors.dtype.type
    x, y, z = units[0], units[1], units[2]
    for j in range(n):
        x[j], y[j], z[j] = vectors[j, 0], vectors[j, 1], vectors[j, 2]
    for j in range(n, unsigned(padded(len(vectors), LANES))):
        x[j], y[j], z[j] = cutoff, kind(0.0), kind(0.0)
    n = unsigned(padded(len(vectors), LANES))
    for j in range(n):
        inverse[j] = kind(1.0) / np.sqrt(x[j] * x[j] + y[j] * y[j] + z[j] * z[j])
    for row in range(unsigned(3)):
        for j in range(n):
            units[row, j] *= inverse[j]


@serial
def basis(vectors, cutoff, rise, fall, inverse, units, f, slope, y):  # type: ignore[no-untyped-def]
    """All of it for the neighbours at `vectors`; returns how many they are with the padding."""
    n = padded(len(vectors), LANES)
    if n > 0:
        geometry(vectors, cutoff, inverse, units)
        radial(inverse, n, cutoff, len(f), f, slope)
        harmonics(units, n, rise, fall, int(np.sqrt(len(rise))) - 1, y)
    return n
