"""Steps of SOAP for a stack of matrices, compiled by numba; the twin in plain torch is `Soap`.

The matrices are small and many: what torch spends on calling and on waking threads for each
product is several times what the products cost. Loops are written out: numba takes seconds to
compile an expression of arrays.
"""

from __future__ import annotations

import numpy as np

from .jit import serial
from .matrix_kernels import unsigned


@serial
def update(  # type: ignore[no-untyped-def]
    weights, gradients, first, second, left, left_basis, right, right_basis, rest, tiny, size
):
    """Move `weights` (M, r, c) and the averages, by `rest` of what is new.

    A side without a basis is of length zero. `size` is the rate with Adam's correction.
    """
    rows, columns = unsigned(weights.shape[1]), unsigned(weights.shape[2])
    half, image = np.empty_like(weights[0]), np.empty_like(weights[0])
    for m in range(len(weights)):
        g, average = gradients[m], first[m]
        turned, back_left, back_right = g.T.copy(), left_basis[m].T.copy(), right_basis[m].T.copy()
        _lerp(average, g, rest)
        _between(back_left, g, right_basis[m], half, image)
        for i in range(rows):
            for j in range(columns):
                second[m, i, j] += rest * (image[i, j] * image[i, j] - second[m, i, j])
        _between(back_left, average, right_basis[m], half, image)
        change = np.empty_like(image)
        for i in range(rows):
            for j in range(columns):
                change[i, j] = image[i, j] / (np.sqrt(second[m, i, j]) + tiny)
        _between(left_basis[m], change, back_right, half, image)
        for i in range(rows):
            for j in range(columns):
                weights[m, i, j] -= size * image[i, j]
        for side, x, y in ((left[m], g, turned), (right[m], turned, g)):
            product = np.empty_like(side)
            _product(x, y, product)
            _lerp(side, product, rest)


@serial
def turn(covariances, bases, second):  # type: ignore[no-untyped-def]
    """One step of orthogonal iteration of `bases` (M, n, n), largest eigenvalue first.

    What is known of the second moments (M, n, others), a row for each direction, moves along.
    """
    n = covariances.shape[1]
    image, transposed = np.empty_like(bases[0]), np.empty_like(bases[0])
    order, sizes = np.empty(n, np.int64), np.empty(n, bases.dtype)
    for m in range(len(bases)):
        _product(covariances[m], bases[m], image)
        for j in range(n):
            sizes[j] = 0.0
            for i in range(n):
                sizes[j] += bases[m, i, j] * image[i, j]
        for j in range(n):  # by insertion: they are nearly in order
            place = j
            while place > 0 and sizes[order[place - 1]] < sizes[j]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = j
        known = second[m].copy()
        for j in range(n):
            for i in range(n):
                transposed[j, i] = image[i, order[j]]
            for i in range(second.shape[2]):
                second[m, j, i] = known[order[j], i]
        _orthonormal(transposed)
        for j in range(n):
            for i in range(n):
                bases[m, i, j] = transposed[j, i]


@serial
def _orthonormal(rows):  # type: ignore[no-untyped-def]
    """Make the rows orthonormal by Householder's reflections, whatever they are."""
    n = len(rows)
    mirrors = np.zeros_like(rows)
    for k in range(n):
        norm = 0.0
        for i in range(k, n):
            norm += rows[k, i] * rows[k, i]
        norm = np.sqrt(norm)
        if norm == 0.0:
            continue
        for i in range(k, n):
            mirrors[k, i] = rows[k, i] / norm
        mirrors[k, k] += 1.0 if rows[k, k] > 0.0 else -1.0
        for j in range(k + 1, n):
            _reflect(rows[j], mirrors[k], k)
    for j in range(n):
        for i in range(n):
            rows[j, i] = 0.0
        rows[j, j] = 1.0
    for k in range(n - 1, -1, -1):
        for j in range(k, n):
            _reflect(rows[j], mirrors[k], k)


@serial
def _reflect(row, mirror, start):  # type: ignore[no-untyped-def]
    """Reflect `row` from `start` on at the plane whose normal is `mirror`, of length² 2 |m_k|."""
    first, end = unsigned(start), unsigned(len(row))
    size = abs(mirror[first])
    if size > 0.0:
        along = row.dtype.type(0.0)
        for i in range(first, end):
            along += row[i] * mirror[i]
        along /= size
        for i in range(first, end):
            row[i] -= along * mirror[i]


@serial
def _between(left, matrix, right, half, out):  # type: ignore[no-untyped-def]
    """out = left matrix right, with the identity in place of a matrix of length zero."""
    _product(left, matrix, half)
    _product(half, right, out)


@serial
def _product(x, y, out):  # type: ignore[no-untyped-def]
    """out = x y; the other of the two where one has no length."""
    rows, columns = unsigned(out.shape[0]), unsigned(out.shape[1])
    if len(x) == 0 or len(y) == 0:
        for i in range(rows):
            for j in range(columns):
                out[i, j] = y[i, j] if len(x) == 0 else x[i, j]
        return
    for i in range(rows):
        for j in range(columns):
            out[i, j] = 0.0
        for k in range(unsigned(x.shape[1])):
            a = x[i, k]
            for j in range(columns):
                out[i, j] += a * y[k, j]


@serial
def _lerp(average, new, rest):  # type: ignore[no-untyped-def]
    for i in range(unsigned(average.shape[0])):
        for j in range(unsigned(average.shape[1])):
            average[i, j] += rest * (new[i, j] - average[i, j])
