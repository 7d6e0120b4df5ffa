"""The inner loops over neighbours, compiled by numba: moments, forces, and the way back.

Everything that depends on a neighbour is computed from its vector when it is needed and stays in
the cache of a core; nothing of it is stored between calls. The plain torch twin of this file is
`pair_sums`; there the formulas are explained.

Layout: pairs are grouped by atom and, within, by the species of the neighbour. With Z species the
pairs of atom i with neighbours of species z are ``starts[i * Z + z] : starts[i * Z + z + 1]``.
Arrays per atom have the atom last, so that the matrix products around the kernels are large ones.
"""

from __future__ import annotations

import numpy as np

from .basis_kernels import LANES, basis
from .jit import serial
from .matrix_kernels import add_outer, padded, times, unsigned

BLOCK = 16  # atoms per task: a cache line of float32 in arrays with the atom last
TILE = 4  # harmonics that are summed over neighbours at once; scratch is padded to it


@serial
def _width(starts):  # type: ignore[no-untyped-def]
    """The most neighbours that an atom has of one species, padded."""
    most = 0
    for row in range(1, len(starts)):
        most = max(most, starts[row] - starts[row - 1])
    return padded(most, LANES)


@serial
def _moments_of(vectors, starts, cutoff, tables, n_basis, out, width, first, last):  # type: ignore[no-untyped-def]
    """`moments` of the atoms from `first` to `last`."""
    rise, fall = tables[0], tables[1]
    n_rows, n_harmonics = out.shape[:2]
    n_species = n_rows // n_basis
    kind = vectors.dtype
    f, slope = np.empty((n_basis, width), kind), np.empty((n_basis, width), kind)
    y = np.zeros((padded(n_harmonics, TILE), width), kind)
    units, inverse = np.empty((3, width), kind), np.empty(width, kind)
    sums = np.zeros((BLOCK, len(f), len(y)), kind)
    for z in range(n_species):
        sums[:] = 0.0
        for i in range(first, last):
            start, stop = starts[i * n_species + z], starts[i * n_species + z + 1]
            n = basis(vectors[start:stop], cutoff, rise, fall, inverse, units, f, slope, y)
            if n == 0:
                continue
            add_outer(f, y, n, sums[i - first])
        for k in range(n_basis):
            for lm in range(n_harmonics):
                for i in range(first, last):
                    out[z * n_basis + k, lm, i] = sums[i - first, k, lm]


@serial
def moments(first, last, vectors, starts, cutoff, tables, n_basis, out):  # type: ignore[no-untyped-def]
    """M[z K + k, lm, i] = sum over neighbours j of species z of f_k(r_ij) S_lm(u_ij).

    Parameters
    ----------
    first, last
        Atoms to do, here as in what follows: others may be done beside it (`compiled.in_parts`).
    vectors
        (E, 3) Å, from the atom to its neighbour.
    starts
        (A Z + 1,) see above.
    cutoff
        Å, a scalar of the dtype of `vectors`.
    tables
        `Tables` of the largest degree, as a tuple.
    n_basis
        K.
    out
        (Z K, (l_max + 1)², A), written.
    """
    width = _width(starts)
    for start in range(first, last, BLOCK):
        stop = min(last, start + BLOCK)
        _moments_of(vectors, starts, cutoff, tables, n_basis, out, width, start, stop)


@serial
def _along(slope, by_radial, n_columns, along):  # type: ignore[no-untyped-def]
    """along[j] = sum_k slope[k, j] by_radial[k, j]."""
    n = unsigned(n_columns)
    for j in range(n):
        along[j] = 0.0
    for k in range(unsigned(len(by_radial))):
        for j in range(n):
            along[j] += slope[k, j] * by_radial[k, j]


@serial
def _across(by_harmonic, y, entry, axis, lower, factor, n_columns, across):  # type: ignore[no-untyped-def]
    """across[a, j] = sum_lm by_harmonic[lm, j] dS_lm/dx_a."""
    n = unsigned(n_columns)
    for j in range(n):
        across[0, j], across[1, j], across[2, j] = 0.0, 0.0, 0.0
    for row in range(unsigned(len(by_harmonic))):
        for e in range(entry[row], entry[row + unsigned(1)]):
            a, low, c = unsigned(axis[e]), unsigned(lower[e]), factor[e]
            for j in range(n):
                across[a, j] += c * by_harmonic[row, j] * y[low, j]


@serial
def _pair_gradients_of(vectors, starts, cutoff, tables, n_basis, h, out, width, first, last):  # type: ignore[no-untyped-def]
    """`pair_gradients` of the atoms from `first` to `last`."""
    rise, fall, entry, axis, lower, factor = tables
    n_rows, n_harmonics = h.shape[:2]
    n_species = n_rows // n_basis
    kind = vectors.dtype
    f, slope = np.empty((n_basis, width), kind), np.empty((n_basis, width), kind)
    y = np.zeros((padded(n_harmonics, TILE), width), kind)
    units, inverse = np.empty((3, width), kind), np.empty(width, kind)
    along, across = np.empty(width, kind), np.empty((3, width), kind)
    by_radial = np.empty((n_basis, width), kind)
    by_harmonic = np.empty((n_harmonics, width), kind)
    mine = np.zeros((BLOCK, n_harmonics, n_basis), kind)
    turned = np.zeros((n_basis, n_harmonics), kind)
    for z in range(n_species):
        for k in range(n_basis):
            for lm in range(n_harmonics):
                for i in range(first, last):
                    mine[i - first, lm, k] = h[z * n_basis + k, lm, i]
        for i in range(first, last):
            start, stop = starts[i * n_species + z], starts[i * n_species + z + 1]
            n = basis(vectors[start:stop], cutoff, rise, fall, inverse, units, f, slope, y)
            if n == 0:
                continue
            for k in range(n_basis):
                for lm in range(n_harmonics):
                    turned[k, lm] = mine[i - first, lm, k]
            times(turned, y[:n_harmonics], n, by_radial)
            times(mine[i - first], f, n, by_harmonic)
            _along(slope, by_radial, n, along)
            _across(by_harmonic, y, entry, axis, lower, factor, n, across)
            for j in range(stop - start):
                ux, uy, uz = units[0, j], units[1, j], units[2, j]
                tx, ty, tz = across[0, j], across[1, j], across[2, j]
                tx, ty, tz = tx * inverse[j], ty * inverse[j], tz * inverse[j]
                rest = along[j] - (tx * ux + ty * uy + tz * uz)
                out[start + j, 0] = tx + rest * ux
                out[start + j, 1] = ty + rest * uy
                out[start + j, 2] = tz + rest * uz


@serial
def pair_gradients(first, last, vectors, starts, cutoff, tables, n_basis, h, out):  # type: ignore[no-untyped-def]
    """g_ij = dE_i/dr_ij (E, 3) from H = dE_i/dM (Z K, (l_max + 1)², A), written to `out`."""
    width = _width(starts)
    for start in range(first, last, BLOCK):
        stop = min(last, start + BLOCK)
        _pair_gradients_of(vectors, starts, cutoff, tables, n_basis, h, out, width, start, stop)


@serial
def forces_and_virials(first, last, vectors, starts, reverse, g, forces, virials):  # type: ignore[no-untyped-def]
    """F_i = sum_j (g_ij - g_ji) (A, 3) and sum_j r_ij (x) g_ij (A, 3, 3), written."""
    n_atoms = len(forces)
    n_species = (len(starts) - 1) // n_atoms
    for i in range(first, last):
        forces[i] = 0.0
        virials[i] = 0.0
        for e in range(starts[i * n_species], starts[(i + 1) * n_species]):
            back = reverse[e]
            for a in range(3):
                forces[i, a] += g[e, a] - g[back, a]
                for b in range(3):
                    virials[i, a, b] += vectors[e, a] * g[e, b]


@serial
def _lower(  # type: ignore[no-untyped-def]
    across, along, entry, axis, lower, factor, n_columns, n_harmonics, y, lowered
):
    """lowered[lm] = sum_a across[a] dS_lm/dx_a, and then y[lm] *= along."""
    n = unsigned(n_columns)
    for row in range(unsigned(n_harmonics)):
        for j in range(n):
            lowered[row, j] = 0.0
        for e in range(entry[row], entry[row + unsigned(1)]):
            a, low, c = unsigned(axis[e]), unsigned(lower[e]), factor[e]
            for j in range(n):
                lowered[row, j] += c * across[a, j] * y[low, j]
    for row in range(unsigned(n_harmonics)):
        for j in range(n):
            y[row, j] *= along[j]


@serial
def _transposed_of(  # type: ignore[no-untyped-def]
    vectors,
    starts,
    neighbours,
    cutoff,
    tables,
    n_basis,
    by_forces,
    by_virials,
    out,
    width,
    first,
    last,
):
    """`transposed` of the atoms from `first` to `last`."""
    rise, fall, entry, axis, lower, factor = tables
    n_rows, n_harmonics = out.shape[:2]
    n_species = n_rows // n_basis
    kind = vectors.dtype
    f, slope = np.empty((n_basis, width), kind), np.empty((n_basis, width), kind)
    y = np.zeros((padded(n_harmonics, TILE), width), kind)
    lowered = np.zeros((padded(n_harmonics, TILE), width), kind)
    units, inverse = np.empty((3, width), kind), np.empty(width, kind)
    along, across = np.empty(width, kind), np.empty((3, width), kind)
    sums = np.zeros((BLOCK, len(f), len(y)), kind)
    for z in range(n_species):
        sums[:] = 0.0
        for i in range(first, last):
            start, stop = starts[i * n_species + z], starts[i * n_species + z + 1]
            n = basis(vectors[start:stop], cutoff, rise, fall, inverse, units, f, slope, y)
            if n == 0:
                continue
            across[:, :n] = 0.0
            for j in range(stop - start):
                other = neighbours[start + j]
                x, yy, zz = vectors[start + j, 0], vectors[start + j, 1], vectors[start + j, 2]
                for a in range(3):
                    across[a, j] = (
                        by_forces[i, a]
                        - by_forces[other, a]
                        + x * by_virials[i, 0, a]
                        + yy * by_virials[i, 1, a]
                        + zz * by_virials[i, 2, a]
                    )
            for j in range(n):
                ux, uy, uz = units[0, j], units[1, j], units[2, j]
                rest = across[0, j] * ux + across[1, j] * uy + across[2, j] * uz
                along[j] = rest
                across[0, j] = (across[0, j] - rest * ux) * inverse[j]
                across[1, j] = (across[1, j] - rest * uy) * inverse[j]
                across[2, j] = (across[2, j] - rest * uz) * inverse[j]
            _lower(across, along, entry, axis, lower, factor, n, n_harmonics, y, lowered)
            add_outer(slope, y, n, sums[i - first])
            add_outer(f, lowered, n, sums[i - first])
        for k in range(n_basis):
            for lm in range(n_harmonics):
                for i in range(first, last):
                    out[z * n_basis + k, lm, i] = sums[i - first, k, lm]


@serial
def transposed(  # type: ignore[no-untyped-def]
    first, last, vectors, starts, neighbours, cutoff, tables, n_basis, by_forces, by_virials, out
):
    """dL/dH (Z K, (l_max + 1)², A) from dL/dF (A, 3) and dL/dvirials (A, 3, 3), written.

    The transpose of `pair_gradients` followed by `forces_and_virials`, which are linear in H.
    """
    width = _width(starts)
    for start in range(first, last, BLOCK):
        stop = min(last, start + BLOCK)
        _transposed_of(
            vectors,
            starts,
            neighbours,
            cutoff,
            tables,
            n_basis,
            by_forces,
            by_virials,
            out,
            width,
            start,
            stop,
        )


@serial
def group_pairs(  # type: ignore[no-untyped-def]
    first, second, half, species, vectors, starts, neighbours, reverse
):
    """Both ends of every pair of a half list, grouped by atom and species of the neighbour.

    Reads i and j (P,), r_ij (P, 3) and the species of the N atoms; writes the rest, which
    `neighbours.Neighbourhood` explains. `starts` comes in as zeros. Returns the shortest distance.
    """
    closest = np.inf
    n_species = (len(starts) - 1) // max(len(species), 1)
    for p in range(len(first)):
        starts[first[p] * n_species + species[second[p]] + 1] += 1
        starts[second[p] * n_species + species[first[p]] + 1] += 1
    for row in range(1, len(starts)):
        starts[row] += starts[row - 1]
    place = starts[:-1].copy()
    for p in range(len(first)):
        i, j = first[p], second[p]
        mine, theirs = i * n_species + species[j], j * n_species + species[i]
        here = place[mine]
        place[mine] += 1
        there = place[theirs]
        place[theirs] += 1
        neighbours[here], neighbours[there] = j, i
        reverse[here], reverse[there] = there, here
        square = 0.0
        for a in range(3):
            vectors[here, a], vectors[there, a] = half[p, a], -half[p, a]
            square += half[p, a] * half[p, a]
        closest = min(closest, square)
    return np.sqrt(closest)
