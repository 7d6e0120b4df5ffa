"""From the moments of an atom to its energy and H = dE/dM, and the way back, compiled by numba.

The plain torch twin is in `moments`; there the model is explained. A block of atoms of one species
goes through all of it while it is in the cache of a core; nothing is kept for the way back, which
starts by going forward again.

Layout: atoms are columns. A matrix with (l_max + 1)² n columns has the n atoms of the block side by
side for each harmonic in turn. `weights` of a species and a member are, one after the other,
contractions of pairs (2 N, Z K), of cubes (Q, Z K) and of embedded densities (E, Z K), strengths of
these (E, 2), then weight (out, in) and bias (out,) of each layer; `turned` holds the same matrices
transposed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .embedding_kernels import embed, embed_back
from .invariant_kernels import (
    add_coupled,
    add_exchanged,
    add_paired,
    exchange,
    harmonics_first,
    squares,
)
from .jit import serial
from .matrix_kernels import add_outer, add_times, matrix, padded, times, unsigned
from .network_kernels import network, network_back

BLOCK = 32
"""Atoms per block."""
LANES = 8
"""A block is padded to a multiple of it, with atoms that have no neighbours and do not count."""


class Sizes(NamedTuple):
    """N pairs, Q cubes, E embedded densities, largest degrees, functions Z K, sizes of layers."""

    pairs: int
    cubic: int
    embedded: int
    l_max: int
    l_cubic: int
    functions: int
    layers: NDArray[np.int64]


class Room(NamedTuple):
    """Scratch of one block, see `_forward` and `_backward`."""

    moments: NDArray[np.floating]
    by_h: NDArray[np.floating]
    densities: NDArray[np.floating]
    slopes: NDArray[np.floating]
    cubed: NDArray[np.floating]
    thirds: NDArray[np.floating]
    by_cubed: NDArray[np.floating]
    by_thirds: NDArray[np.floating]
    signals: NDArray[np.floating]
    chain: NDArray[np.floating]
    tangents: NDArray[np.floating]
    by_signals: NDArray[np.floating]


@serial
def _room(sizes, kind):  # type: ignore[no-untyped-def]
    columns = (sizes.l_max + 1) ** 2 * BLOCK
    densities = 2 * sizes.pairs + sizes.cubic + sizes.embedded
    kept = (sizes.l_cubic + 1) ** 2
    cubed = (kept, max(sizes.cubic, 1) * BLOCK)
    signals = (sizes.layers.sum(), BLOCK)
    return Room(
        np.empty((sizes.functions, columns), kind),
        np.empty((sizes.functions, columns), kind),
        np.empty((densities, columns), kind),
        np.empty((densities, columns), kind),
        np.empty(cubed, kind),
        np.empty(cubed, kind),
        np.empty(cubed, kind),
        np.empty(cubed, kind),
        np.empty(signals, kind),
        np.empty(signals, kind),
        np.empty(signals, kind),
        np.empty(signals, kind),
    )


@serial
def _gather(source, atoms, n, out):  # type: ignore[no-untyped-def]
    """Columns of (rows, harmonics, A) for some atoms, and zeros up to `n` of them."""
    harmonics = source.shape[1]
    for row in range(source.shape[0]):
        for lm in range(harmonics):
            for j in range(len(atoms)):
                out[row, lm * n + j] = source[row, lm, atoms[j]]
            for j in range(len(atoms), n):
                out[row, lm * n + j] = 0.0


@serial
def _scatter(source, atoms, n, factor, out):  # type: ignore[no-untyped-def]
    """The reverse of `_gather`, times a factor."""
    for row in range(out.shape[0]):
        for lm in range(out.shape[1]):
            for j in range(len(atoms)):
                out[row, lm, atoms[j]] = factor * source[row, lm * n + j]


@serial
def _divide_rows(x, divisors, n_columns):  # type: ignore[no-untyped-def]
    n = unsigned(n_columns)
    for row in range(unsigned(len(divisors))):
        share = x.dtype.type(1.0) / divisors[row]
        for j in range(n):
            x[row, j] *= share


@serial
def _forward(weights, turned, scales, sizes, triples, n, room):  # type: ignore[no-untyped-def]
    """From moments to the energy, the last row of signals, and its slopes in the densities.

    Afterwards `chain` holds dE/dfeatures in its first rows.
    """
    harmonics, kept = (sizes.l_max + 1) ** 2, (sizes.l_cubic + 1) ** 2
    n_pairs, n_cubic, functions = sizes.pairs, sizes.cubic, sizes.functions
    d, s, x, t = room.densities, room.slopes, room.cubed, room.thirds
    n_power = n_pairs * (sizes.l_max + 1)
    n_features = n_power + n_cubic
    times(matrix(weights, 0, 2 * n_pairs, functions), room.moments, harmonics * n, d)
    start = 2 * n_pairs * functions
    times(matrix(weights, start, n_cubic, functions), room.moments, kept * n, d[2 * n_pairs :])
    harmonics_first(d, 2 * n_pairs, kept, n_cubic, n, x)
    squares(x, triples, n_cubic * n, t)

    signals = room.signals
    signals[:n_features] = 0.0
    add_paired(d, d, sizes, n, signals)
    for lm in range(kept):
        for q in range(n_cubic):
            for j in range(n):
                signals[n_power + q, j] += x[lm, q * n + j] * t[lm, q * n + j]
    for row in range(n_features):
        for j in range(n):
            signals[row, j] -= scales[0, row]
    _divide_rows(signals, scales[1], n)

    used = 2 * n_pairs + n_cubic
    start = used * functions
    layers = start + sizes.embedded * (functions + 2)
    network(weights, turned, layers, sizes.layers, n, signals, room.chain)
    _divide_rows(room.chain, scales[1], n)
    top = signals[len(signals) - 1]
    embed(weights, start, sizes.embedded, room.moments, n, top, d[used:], s[used:])

    s[: 2 * n_pairs, : harmonics * n] = 0.0
    add_exchanged(room.chain, d, sizes, n, s)
    for q in range(n_cubic):
        for lm in range(kept):
            for j in range(n):
                s[2 * n_pairs + q, lm * n + j] = 3.0 * room.chain[n_power + q, j] * t[lm, q * n + j]


@serial
def _backward(weights, turned, scales, sizes, triples, n, by_energies, room, out):  # type: ignore[no-untyped-def]
    """After `_forward`: the gradient of a loss in the weights, added to `out`.

    `room.by_h` holds dL/dH, which ends as what is left of it.
    """
    harmonics, kept = (sizes.l_max + 1) ** 2, (sizes.l_cubic + 1) ** 2
    n_pairs, n_cubic, functions = sizes.pairs, sizes.cubic, sizes.functions
    d, s, x, t, hb = room.densities, room.slopes, room.cubed, room.thirds, room.by_h
    n_power = n_pairs * (sizes.l_max + 1)
    n_features = n_power + n_cubic
    both, start = 2 * n_pairs, 2 * n_pairs * functions
    of_pairs, of_cubic = matrix(out, 0, both, functions), matrix(out, start, n_cubic, functions)
    used = both + n_cubic
    first = used * functions
    embed_back(
        weights, first, sizes.embedded, room.moments, n, by_energies, hb, d[used:], s[used:], out
    )
    # H = weightsᵀ slopes
    add_outer(s[:both], hb, harmonics * n, of_pairs)
    add_outer(s[both:used], hb, kept * n, of_cubic)
    by_s = s  # takes its place
    times(matrix(weights, 0, both, functions), hb, harmonics * n, by_s)
    times(matrix(weights, start, n_cubic, functions), hb, kept * n, by_s[both:])
    by_x = room.by_cubed
    harmonics_first(by_s, both, kept, n_cubic, n, by_x)

    # slopes = dE/dfeatures times dfeatures/ddensities: first the network's part
    tangents, back = room.tangents, room.by_signals
    tangents[:n_features] = 0.0
    add_paired(by_s, d, sizes, n, tangents)
    add_paired(d, by_s, sizes, n, tangents)
    for lm in range(kept):
        for q in range(n_cubic):
            for j in range(n):
                tangents[n_power + q, j] += 3.0 * by_x[lm, q * n + j] * t[lm, q * n + j]
    _divide_rows(tangents, scales[1], n)
    layers = first + sizes.embedded * (functions + 2)
    network_back(
        weights,
        turned,
        layers,
        sizes.layers,
        n,
        by_energies,
        room.signals,
        room.chain,
        tangents,
        back,
        out,
    )
    _divide_rows(back, scales[1], n)

    # then the densities': through the slopes, and through the features
    by_d = by_s
    exchange(room.chain, sizes, n, by_d)
    add_exchanged(back, d, sizes, n, by_d)
    by_t, by_cubed = room.by_thirds, by_x
    for lm in range(kept):
        for q in range(n_cubic):
            for j in range(n):
                by_t[lm, q * n + j] = 3.0 * room.chain[n_power + q, j] * by_x[lm, q * n + j]
                by_cubed[lm, q * n + j] = 3.0 * back[n_power + q, j] * t[lm, q * n + j]
    add_coupled(x, by_t, triples, n_cubic * n, by_cubed)
    for q in range(n_cubic):
        for lm in range(kept):
            for j in range(n):
                by_d[both + q, lm * n + j] = by_cubed[lm, q * n + j]
    add_outer(by_d[:both], room.moments, harmonics * n, of_pairs)
    add_outer(by_d[both:used], room.moments, kept * n, of_cubic)


@serial
def _add_slopes_in_moments(turned, sizes, n, slopes, h):  # type: ignore[no-untyped-def]
    """H = weightsᵀ slopes, added to what is there."""
    both, functions = 2 * sizes.pairs, sizes.functions
    used = both + sizes.cubic
    of_pairs = matrix(turned, 0, functions, both)
    of_cubic = matrix(turned, both * functions, functions, sizes.cubic)
    of_embedded = matrix(turned, used * functions, functions, sizes.embedded)
    add_times(of_pairs, slopes[:both], (sizes.l_max + 1) ** 2 * n, h)
    add_times(of_cubic, slopes[both:used], (sizes.l_cubic + 1) ** 2 * n, h)
    add_times(of_embedded, slopes[used:], n, h)


@serial
def forward(  # type: ignore[no-untyped-def]
    start, stop, moments, atoms, blocks, weights, turned, scales, sizes, triples, energies, h
):
    """Energies and their derivatives in the moments.

    Parameters
    ----------
    start, stop
        Blocks to do; others may be done beside them (`compiled.in_parts`).
    moments
        (Z K, (l_max + 1)², A).
    atoms, blocks
        (A,) indices of the atoms in the order of the blocks; (B, 3) species, first and last.
    weights, turned
        (Z, M, P), see above, of M members.
    scales
        (Z, M, 2, features): what is taken off the features, and what they are divided by.
    energies, h
        (M, A) and (M, Z K, (l_max + 1)², A), written; or (1, A) and (1, ...) for the mean.
    """
    members, apart = weights.shape[1], len(h)
    together = members // apart
    share = moments.dtype.type(1.0 / together)
    room = _room(sizes, moments.dtype)
    total = np.empty(BLOCK, moments.dtype)
    for block in range(start, stop):
        species, first, last = blocks[block]
        mine = atoms[first:last]
        n = padded(last - first, LANES)
        _gather(moments, mine, n, room.moments)
        for answer in range(apart):
            room.by_h[:] = 0.0
            total[:] = 0.0
            for member in range(answer * together, (answer + 1) * together):
                w, wt = weights[species, member], turned[species, member]
                _forward(w, wt, scales[species, member], sizes, triples, n, room)
                _add_slopes_in_moments(wt, sizes, n, room.slopes, room.by_h)
                top = room.signals[len(room.signals) - 1]
                for j in range(len(mine)):
                    total[j] += top[j]
            _scatter(room.by_h, mine, n, share, h[answer])
            for j in range(len(mine)):
                energies[answer, mine[j]] = share * total[j]


@serial
def backward(  # type: ignore[no-untyped-def]
    start,
    stop,
    moments,
    atoms,
    blocks,
    weights,
    turned,
    scales,
    sizes,
    triples,
    by_energies,
    by_h,
    out,
):
    """Gradients in the weights, (B, M, P), written: one per block, so that their sum has one order.

    `by_energies` and `by_h` are the derivatives of a loss, shaped as in `forward`.
    """
    room = _room(sizes, moments.dtype)
    by_mine = np.zeros(BLOCK, moments.dtype)
    for block in range(start, stop):
        species, first, last = blocks[block]
        mine = atoms[first:last]
        n = padded(last - first, LANES)
        _gather(moments, mine, n, room.moments)
        for member in range(weights.shape[1]):
            w, wt = weights[species, member], turned[species, member]
            scale, grown = scales[species, member], out[block, member]
            _forward(w, wt, scale, sizes, triples, n, room)
            _gather(by_h[member], mine, n, room.by_h)
            by_mine[:] = 0.0
            for j in range(len(mine)):
                by_mine[j] = by_energies[member, mine[j]]
            grown[:] = 0.0
            _backward(w, wt, scale, sizes, triples, n, by_mine, room, grown)
