"""Products of small matrices whose columns are atoms or neighbours, compiled by numba.

The rows are short lists, the columns lie one after the other in memory and are what the processor
works on side by side. Two rows by four terms at a time keep the registers full. Indices are
unsigned: numba would otherwise ask of each one whether it counts from the end.
"""

from __future__ import annotations

import numpy as np

from .jit import serial

unsigned = np.uintp
ONE, TWO, THREE, FOUR = (unsigned(i) for i in range(1, 5))


@serial
def times(w, x, n_columns, out):  # type: ignore[no-untyped-def]
    """out[r, j] = sum_k w[r, k] x[k, j] for the first `n_columns` j."""
    n = unsigned(n_columns)
    for r in range(unsigned(w.shape[0])):
        for j in range(n):
            out[r, j] = 0.0
    add_times(w, x, n_columns, out)


@serial
def add_times(w, x, n_columns, out):  # type: ignore[no-untyped-def]
    """out[r, j] += sum_k w[r, k] x[k, j] for the first `n_columns` j."""
    rows, terms, n = unsigned(w.shape[0]), unsigned(w.shape[1]), unsigned(n_columns)
    for half in range(rows // TWO):
        r = half * TWO
        s = r + ONE
        for quarter in range(terms // FOUR):
            k = quarter * FOUR
            a0, a1, a2, a3 = w[r, k], w[r, k + ONE], w[r, k + TWO], w[r, k + THREE]
            b0, b1, b2, b3 = w[s, k], w[s, k + ONE], w[s, k + TWO], w[s, k + THREE]
            for j in range(n):
                x0, x1, x2, x3 = x[k, j], x[k + ONE, j], x[k + TWO, j], x[k + THREE, j]
                out[r, j] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                out[s, j] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
        for k in range(terms // FOUR * FOUR, terms):  # type: ignore[assignment]
            a, b = w[r, k], w[s, k]
            for j in range(n):
                out[r, j] += a * x[k, j]
                out[s, j] += b * x[k, j]
    for r in range(rows // TWO * TWO, rows):  # type: ignore[assignment]
        for k in range(terms):  # type: ignore[assignment]
            a = w[r, k]
            for j in range(n):
                out[r, j] += a * x[k, j]


@serial
def add_outer(x, y, n_columns, out):  # type: ignore[no-untyped-def]
    """out[r, c] += sum_j x[r, j] y[c, j] over the first `n_columns` j."""
    rows, columns, n = unsigned(x.shape[0]), unsigned(y.shape[0]), unsigned(n_columns)
    zero = x.dtype.type(0.0)
    for half in range(rows // TWO):
        r = half * TWO
        s = r + ONE
        for quarter in range(columns // FOUR):
            c = quarter * FOUR
            a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
            for j in range(n):
                xa, xb = x[r, j], x[s, j]
                y0, y1, y2, y3 = y[c, j], y[c + ONE, j], y[c + TWO, j], y[c + THREE, j]
                a0 += xa * y0
                a1 += xa * y1
                a2 += xa * y2
                a3 += xa * y3
                b0 += xb * y0
                b1 += xb * y1
                b2 += xb * y2
                b3 += xb * y3
            out[r, c] += a0
            out[r, c + ONE] += a1
            out[r, c + TWO] += a2
            out[r, c + THREE] += a3
            out[s, c] += b0
            out[s, c + ONE] += b1
            out[s, c + TWO] += b2
            out[s, c + THREE] += b3
    _add_rest(x, y, n, unsigned(0), rows // TWO * TWO, columns // FOUR * FOUR, columns, out)
    _add_rest(x, y, n, rows // TWO * TWO, rows, unsigned(0), columns, out)


@serial
def _add_rest(x, y, n, top, bottom, left, right, out):  # type: ignore[no-untyped-def]
    """A part of `add_outer`, one element at a time."""
    for r in range(top, bottom):
        for c in range(left, right):
            total = x.dtype.type(0.0)
            for j in range(n):
                total += x[r, j] * y[c, j]
            out[r, c] += total


@serial
def matrix(flat, start, rows, columns):  # type: ignore[no-untyped-def]
    """A matrix that lies in `flat`, not a copy."""
    return flat[start : start + rows * columns].reshape(rows, columns)


@serial
def padded(count, tile):  # type: ignore[no-untyped-def]
    """The next multiple of `tile`."""
    return (count + tile - 1) // tile * tile
