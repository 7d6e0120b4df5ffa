"""Invariants of the densities of a block of atoms and their slopes, compiled by numba.

The twin in plain torch, with the formulas, is `invariants`. In a matrix of densities the columns
are the n atoms of the block for each harmonic in turn; in one of densities to be cubed the rows
are harmonics, and the columns the n atoms for each density in turn, so that loops are long.
"""

from __future__ import annotations

from .jit import serial
from .matrix_kernels import unsigned


@serial
def add_paired(x, y, sizes, n_columns, out):  # type: ignore[no-untyped-def]
    """out[p (l_max + 1) + l] += sum_m x[p, lm] y[N + p, lm]: the power spectrum where x is y."""
    n = unsigned(n_columns)
    for p in range(sizes.pairs):
        for degree in range(sizes.l_max + 1):
            row = unsigned(p * (sizes.l_max + 1) + degree)
            a, b = unsigned(p), unsigned(sizes.pairs + p)
            for lm in range(degree * degree, (degree + 1) * (degree + 1)):
                shift = unsigned(lm) * n
                for j in range(n):
                    out[row, j] += x[a, shift + j] * y[b, shift + j]


@serial
def add_exchanged(by_features, x, sizes, n_columns, out):  # type: ignore[no-untyped-def]
    """out[p] += w[pl] x[N + p] and out[N + p] += w[pl] x[p]."""
    n = unsigned(n_columns)
    for p in range(sizes.pairs):
        a, b = unsigned(p), unsigned(sizes.pairs + p)
        for degree in range(sizes.l_max + 1):
            row = unsigned(p * (sizes.l_max + 1) + degree)
            for lm in range(degree * degree, (degree + 1) * (degree + 1)):
                shift = unsigned(lm) * n
                for j in range(n):
                    w = by_features[row, j]
                    out[a, shift + j] += w * x[b, shift + j]
                    out[b, shift + j] += w * x[a, shift + j]


@serial
def exchange(by_features, sizes, n_columns, x):  # type: ignore[no-untyped-def]
    """x[p] = w[pl] x[N + p] and x[N + p] = w[pl] x[p], in place."""
    n = unsigned(n_columns)
    for p in range(sizes.pairs):
        a, b = unsigned(p), unsigned(sizes.pairs + p)
        for degree in range(sizes.l_max + 1):
            row = unsigned(p * (sizes.l_max + 1) + degree)
            for lm in range(degree * degree, (degree + 1) * (degree + 1)):
                shift = unsigned(lm) * n
                for j in range(n):
                    w = by_features[row, j]
                    first, second = x[a, shift + j], x[b, shift + j]
                    x[a, shift + j] = w * second
                    x[b, shift + j] = w * first


@serial
def harmonics_first(rows, first, harmonics, n_cubic, n, out):  # type: ignore[no-untyped-def]
    """out[lm, q n + j] = rows[first + q, lm n + j]: harmonics become rows."""
    for q in range(n_cubic):
        for lm in range(harmonics):
            for j in range(n):
                out[lm, q * n + j] = rows[first + q, lm * n + j]


@serial
def squares(x, triples, n_columns, out):  # type: ignore[no-untyped-def]
    """out[a] = sum_bc G_abc x[b] x[c]; see `sphere.Triples`."""
    n = unsigned(n_columns)
    for a in range(len(x)):
        for j in range(n):
            out[a, j] = 0.0
        for e in range(triples.entry[a], triples.entry[a + 1]):
            b, c = unsigned(triples.second[e]), unsigned(triples.third[e])
            g = triples.factor[e] + triples.factor[e]
            for j in range(n):
                out[a, j] += g * x[b, j] * x[c, j]


@serial
def add_coupled(x, y, triples, n_columns, out):  # type: ignore[no-untyped-def]
    """out[a] += 2 sum_bc G_abc x[b] y[c]."""
    n = unsigned(n_columns)
    for a in range(len(x)):
        for e in range(triples.entry[a], triples.entry[a + 1]):
            b, c = unsigned(triples.second[e]), unsigned(triples.third[e])
            g = triples.factor[e] + triples.factor[e]
            for j in range(n):
                out[a, j] += g * (x[b, j] * y[c, j] + x[c, j] * y[b, j])
