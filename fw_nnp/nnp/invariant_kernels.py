"""The loops of `invariants`, compiled by numba.

Atoms come last in every array; blocks of them are short enough for the cache of a core and long
enough for whole vectors of the processor.
"""

from __future__ import annotations

from numba import prange

from .jit import parallel

BLOCK = 128


@parallel
def products(x, y, l_max, out):  # type: ignore[no-untyped-def]
    """out[n (l_max + 1) + l] = sum_m x[n, lm] y[N + n, lm] for x and y (2 N, (l_max + 1)², A)."""
    n_pairs, n_atoms = len(x) // 2, x.shape[2]
    for block in prange((n_atoms + BLOCK - 1) // BLOCK):
        start, stop = block * BLOCK, min(n_atoms, (block + 1) * BLOCK)
        for n in range(n_pairs):
            for degree in range(l_max + 1):
                sums = out[n * (l_max + 1) + degree, start:stop]
                sums[:] = 0.0
                for lm in range(degree * degree, (degree + 1) * (degree + 1)):
                    a, b = x[n, lm, start:stop], y[n_pairs + n, lm, start:stop]
                    for j in range(len(sums)):
                        sums[j] += a[j] * b[j]


@parallel
def exchanged(x, weights, l_max, out):  # type: ignore[no-untyped-def]
    """out[n, lm] = w[nl] x[N + n, lm] and out[N + n, lm] = w[nl] x[n, lm]."""
    n_pairs, n_atoms = len(x) // 2, x.shape[2]
    for block in prange((n_atoms + BLOCK - 1) // BLOCK):
        start, stop = block * BLOCK, min(n_atoms, (block + 1) * BLOCK)
        for n in range(n_pairs):
            for degree in range(l_max + 1):
                w = weights[n * (l_max + 1) + degree, start:stop]
                for lm in range(degree * degree, (degree + 1) * (degree + 1)):
                    a, b = x[n, lm, start:stop], x[n_pairs + n, lm, start:stop]
                    first, second = out[n, lm, start:stop], out[n_pairs + n, lm, start:stop]
                    for j in range(len(w)):
                        first[j] = w[j] * b[j]
                        second[j] = w[j] * a[j]


@parallel
def coupled(x, y, triples, out):  # type: ignore[no-untyped-def]
    """out[n, a] = sum_bc G_abc x[n, b] y[n, c], all (N, (l + 1)², A); see `sphere.Triples`."""
    entry, second, third, factor = triples
    n_atoms = x.shape[2]
    for block in prange((n_atoms + BLOCK - 1) // BLOCK):
        start, stop = block * BLOCK, min(n_atoms, (block + 1) * BLOCK)
        for n in range(len(x)):
            for a in range(x.shape[1]):
                sums = out[n, a, start:stop]
                sums[:] = 0.0
                for e in range(entry[a], entry[a + 1]):
                    g, b, c = factor[e], second[e], third[e]
                    xb, xc = x[n, b, start:stop], x[n, c, start:stop]
                    yb, yc = y[n, b, start:stop], y[n, c, start:stop]
                    for j in range(len(sums)):
                        sums[j] += g * (xb[j] * yc[j] + xc[j] * yb[j])
