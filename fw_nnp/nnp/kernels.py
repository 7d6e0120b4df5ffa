"""The inner loops over neighbours, compiled by numba: moments, forces, and the way back.

Everything that depends on a neighbour is computed from its vector when it is needed and stays in
the cache of a core; nothing of it is stored between calls. The plain torch twin of this file is
`pair_sums`; there the formulas are explained.

Layout: pairs are grouped by atom and, within, by the species of the neighbour. With Z species the
pairs of atom i with neighbours of species z are ``starts[i * Z + z] : starts[i * Z + z + 1]``.
Arrays per atom have the atom last, so that the matrix products around the kernels are large ones.
In here a "row" is a radial function, a harmonic or an axis, with one column per neighbour.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .jit import parallel, serial

BLOCK = 16  # atoms per task: a cache line of float32 in arrays with the atom last
LANES = 16  # neighbours are padded to it, so that no loop has a scalar rest
TILE = 4  # harmonics that are summed over neighbours at once; scratch is padded to it


@serial
def _padded(count, tile):  # type: ignore[no-untyped-def]
    return (count + tile - 1) // tile * tile


@serial
def _harmonics(units, rise, fall, l_max, y):  # type: ignore[no-untyped-def]
    """Rows of S_lm(u); `rise` and `fall` are the factors of the recursion in degree."""
    n = units.shape[1]
    y[0, :n] = 1.0
    for degree in range(1, l_max + 1):
        centre, below = degree * degree + degree, (degree - 1) * (degree - 1) + degree - 1
        lowest = (degree - 2) * (degree - 2) + degree - 2
        for m in range(1 - degree, degree):
            up, down = rise[centre + m], fall[centre + m]
            if down == 0.0:
                for j in range(n):
                    y[centre + m, j] = up * units[2, j] * y[below + m, j]
            else:
                for j in range(n):
                    y[centre + m, j] = up * units[2, j] * y[below + m, j] - down * y[lowest + m, j]
        up = rise[centre + degree]
        if degree == 1:
            for j in range(n):
                y[centre + 1, j], y[centre - 1, j] = units[0, j], units[1, j]
        else:
            for j in range(n):
                cosine, sine = y[below + degree - 1, j], y[below - degree + 1, j]
                y[centre + degree, j] = up * (units[0, j] * cosine - units[1, j] * sine)
                y[centre - degree, j] = up * (units[0, j] * sine + units[1, j] * cosine)


@serial
def _radial(inverse, cutoff, n_basis, f, slope):  # type: ignore[no-untyped-def]
    """Rows of f_k(r) and df_k/dr, as `radial.radial_functions`.

    Times the envelope, Chebyshev polynomials keep their recursion f_k = 2 t f_(k-1) - f_(k-2),
    and the slopes follow by differentiating it.
    """
    n = len(inverse)
    one = cutoff / cutoff
    two = one + one
    per = one / cutoff
    t, t_slope = np.empty_like(inverse), np.empty_like(inverse)
    for j in range(n):
        x = min(per / inverse[j], one)
        rest = one - x * x
        cube = rest * rest * rest
        f[0, j], slope[0, j] = cube * rest, -two * two * two * per * x * cube
        t[j], t_slope[j] = two * (one - x) * (one - x) - one, -two * two * per * (one - x)
    if n_basis > 1:
        for j in range(n):
            f[1, j] = t[j] * f[0, j]
            slope[1, j] = t_slope[j] * f[0, j] + t[j] * slope[0, j]
    for k in range(2, n_basis):
        for j in range(n):
            f[k, j] = two * t[j] * f[k - 1, j] - f[k - 2, j]
            slope[k, j] = (
                two * (t_slope[j] * f[k - 1, j] + t[j] * slope[k - 1, j]) - slope[k - 2, j]
            )


@serial
def _geometry(vectors, cutoff, inverse, units):  # type: ignore[no-untyped-def]
    """1/r and directions of some neighbours, then neighbours at the cutoff up to full vectors."""
    for j in range(len(vectors), _padded(len(vectors), LANES)):
        inverse[j] = (cutoff / cutoff) / cutoff
        units[0, j], units[1, j], units[2, j] = 1.0, 0.0, 0.0
    for j in range(len(vectors)):
        x, y, z = vectors[j, 0], vectors[j, 1], vectors[j, 2]
        square = x * x + y * y + z * z
        scale = (square / square) / np.sqrt(square)
        inverse[j] = scale
        units[0, j], units[1, j], units[2, j] = x * scale, y * scale, z * scale


@serial
def _sum_over_neighbours(f, y, n, n_basis, out):  # type: ignore[no-untyped-def]
    """out[k, lm] += sum_j f[k, j] y[lm, j], two by four at a time."""
    zero = f[0, 0] - f[0, 0]
    for k in range(0, n_basis, 2):
        for lm in range(0, out.shape[1], TILE):
            a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
            for j in range(n):
                fa, fb = f[k, j], f[k + 1, j]
                y0, y1, y2, y3 = y[lm, j], y[lm + 1, j], y[lm + 2, j], y[lm + 3, j]
                a0 += fa * y0
                a1 += fa * y1
                a2 += fa * y2
                a3 += fa * y3
                b0 += fb * y0
                b1 += fb * y1
                b2 += fb * y2
                b3 += fb * y3
            out[k, lm] += a0
            out[k, lm + 1] += a1
            out[k, lm + 2] += a2
            out[k, lm + 3] += a3
            out[k + 1, lm] += b0
            out[k + 1, lm + 1] += b1
            out[k + 1, lm + 2] += b2
            out[k + 1, lm + 3] += b3


@serial
def _sum_over_functions(weights, f, slope, n, n_basis, p, q):  # type: ignore[no-untyped-def]
    """p[j] = sum_k weights[k] f[k, j] and q[j] the same of the slopes, four at a time."""
    p[:n] = 0.0
    q[:n] = 0.0
    for k in range(0, n_basis, TILE):
        w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for j in range(n):
            p[j] += w0 * f[k, j] + w1 * f[k + 1, j] + w2 * f[k + 2, j] + w3 * f[k + 3, j]
            q[j] += (
                w0 * slope[k, j]
                + w1 * slope[k + 1, j]
                + w2 * slope[k + 2, j]
                + w3 * slope[k + 3, j]
            )


@parallel
def moments(vectors, starts, cutoff, tables, n_basis, out):  # type: ignore[no-untyped-def]
    """M[z K + k, lm, i] = sum over neighbours j of species z of f_k(r_ij) S_lm(u_ij).

    Parameters
    ----------
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
    rise, fall = tables[0], tables[1]
    n_rows, n_harmonics, n_atoms = out.shape
    n_species = n_rows // n_basis
    l_max = int(np.sqrt(n_harmonics)) - 1
    width = _padded(np.diff(starts).max(), LANES)
    kind = vectors.dtype
    for block in prange(_padded(n_atoms, BLOCK) // BLOCK):
        f = np.zeros((_padded(n_basis, TILE), width), kind)
        slope = np.empty((_padded(n_basis, TILE), width), kind)
        y = np.zeros((_padded(n_harmonics, TILE), width), kind)
        units, inverse = np.empty((3, width), kind), np.empty(width, kind)
        sums = np.zeros((BLOCK, len(f), len(y)), kind)
        first = block * BLOCK
        last = min(n_atoms, first + BLOCK)
        for z in range(n_species):
            sums[:] = 0.0
            for i in range(first, last):
                start, stop = starts[i * n_species + z], starts[i * n_species + z + 1]
                n = _padded(stop - start, LANES)
                if n == 0:
                    continue
                _geometry(vectors[start:stop], cutoff, inverse, units)
                _radial(inverse[:n], cutoff, n_basis, f, slope)
                _harmonics(units[:, :n], rise, fall, l_max, y)
                _sum_over_neighbours(f, y, n, n_basis, sums[i - first])
            for k in range(n_basis):
                for lm in range(n_harmonics):
                    for i in range(first, last):
                        out[z * n_basis + k, lm, i] = sums[i - first, k, lm]


@parallel
def pair_gradients(vectors, starts, cutoff, tables, n_basis, h, out):  # type: ignore[no-untyped-def]
    """g_ij = dE_i/dr_ij (E, 3) from H = dE_i/dM (Z K, (l_max + 1)², A), written to `out`."""
    rise, fall, entry, axis, lower, factor = tables
    n_rows, n_harmonics, n_atoms = h.shape
    n_species = n_rows // n_basis
    l_max = int(np.sqrt(n_harmonics)) - 1
    width = _padded(np.diff(starts).max(), LANES)
    kind = vectors.dtype
    for block in prange(_padded(n_atoms, BLOCK) // BLOCK):
        f = np.zeros((_padded(n_basis, TILE), width), kind)
        slope = np.zeros((_padded(n_basis, TILE), width), kind)
        y = np.zeros((_padded(n_harmonics, TILE), width), kind)
        units, inverse = np.empty((3, width), kind), np.empty(width, kind)
        p, q, along = np.empty(width, kind), np.empty(width, kind), np.empty(width, kind)
        across = np.empty((3, width), kind)
        mine = np.zeros((BLOCK, n_harmonics, len(f)), kind)
        first = block * BLOCK
        last = min(n_atoms, first + BLOCK)
        for z in range(n_species):
            for k in range(n_basis):
                for lm in range(n_harmonics):
                    for i in range(first, last):
                        mine[i - first, lm, k] = h[z * n_basis + k, lm, i]
            for i in range(first, last):
                start, stop = starts[i * n_species + z], starts[i * n_species + z + 1]
                n = _padded(stop - start, LANES)
                if n == 0:
                    continue
                _geometry(vectors[start:stop], cutoff, inverse, units)
                _radial(inverse[:n], cutoff, n_basis, f, slope)
                _harmonics(units[:, :n], rise, fall, l_max, y)
                along[:n] = 0.0
                across[:, :n] = 0.0
                for lm in range(n_harmonics):
                    _sum_over_functions(mine[i - first, lm], f, slope, n, n_basis, p, q)
                    for j in range(n):
                        along[j] += q[j] * y[lm, j]
                    for e in range(entry[lm], entry[lm + 1]):
                        a, low, c = axis[e], lower[e], factor[e]
                        for j in range(n):
                            across[a, j] += c * p[j] * y[low, j]
                for j in range(stop - start):
                    ux, uy, uz = units[0, j], units[1, j], units[2, j]
                    tx, ty, tz = across[0, j], across[1, j], across[2, j]
                    tx, ty, tz = tx * inverse[j], ty * inverse[j], tz * inverse[j]
                    rest = along[j] - (tx * ux + ty * uy + tz * uz)
                    out[start + j, 0] = tx + rest * ux
                    out[start + j, 1] = ty + rest * uy
                    out[start + j, 2] = tz + rest * uz


@parallel
def forces_and_virials(vectors, starts, reverse, g, forces, virials):  # type: ignore[no-untyped-def]
    """F_i = sum_j (g_ij - g_ji) (A, 3) and sum_j r_ij (x) g_ij (A, 3, 3), written."""
    n_atoms = len(forces)
    n_species = (len(starts) - 1) // n_atoms
    for i in prange(n_atoms):
        forces[i] = 0.0
        virials[i] = 0.0
        for e in range(starts[i * n_species], starts[(i + 1) * n_species]):
            back = reverse[e]
            for a in range(3):
                forces[i, a] += g[e, a] - g[back, a]
                for b in range(3):
                    virials[i, a, b] += vectors[e, a] * g[e, b]


@parallel
def transposed(  # type: ignore[no-untyped-def]
    vectors, starts, neighbours, cutoff, tables, n_basis, by_forces, by_virials, out
):
    """dL/dH (Z K, (l_max + 1)², A) from dL/dF (A, 3) and dL/dvirials (A, 3, 3), written.

    The transpose of `pair_gradients` followed by `forces_and_virials`, which are linear in H.
    """
    rise, fall, entry, axis, lower, factor = tables
    n_rows, n_harmonics, n_atoms = out.shape
    n_species = n_rows // n_basis
    l_max = int(np.sqrt(n_harmonics)) - 1
    width = _padded(np.diff(starts).max(), LANES)
    kind = vectors.dtype
    for block in prange(_padded(n_atoms, BLOCK) // BLOCK):
        f = np.zeros((_padded(n_basis, TILE), width), kind)
        slope = np.zeros((_padded(n_basis, TILE), width), kind)
        y = np.zeros((_padded(n_harmonics, TILE), width), kind)
        lowered = np.zeros((_padded(n_harmonics, TILE), width), kind)
        units, inverse = np.empty((3, width), kind), np.empty(width, kind)
        along, across = np.empty(width, kind), np.empty((3, width), kind)
        sums = np.zeros((BLOCK, len(f), len(y)), kind)
        first = block * BLOCK
        last = min(n_atoms, first + BLOCK)
        for z in range(n_species):
            sums[:] = 0.0
            for i in range(first, last):
                start, stop = starts[i * n_species + z], starts[i * n_species + z + 1]
                n = _padded(stop - start, LANES)
                if n == 0:
                    continue
                _geometry(vectors[start:stop], cutoff, inverse, units)
                _radial(inverse[:n], cutoff, n_basis, f, slope)
                _harmonics(units[:, :n], rise, fall, l_max, y)
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
                for lm in range(n_harmonics):
                    for j in range(n):
                        lowered[lm, j] = 0.0
                    for e in range(entry[lm], entry[lm + 1]):
                        a, low, c = axis[e], lower[e], factor[e]
                        for j in range(n):
                            lowered[lm, j] += c * across[a, j] * y[low, j]
                for lm in range(n_harmonics):
                    for j in range(n):
                        y[lm, j] *= along[j]
                _sum_over_neighbours(slope, y, n, n_basis, sums[i - first])
                _sum_over_neighbours(f, lowered, n, n_basis, sums[i - first])
            for k in range(n_basis):
                for lm in range(n_harmonics):
                    for i in range(first, last):
                        out[z * n_basis + k, lm, i] = sums[i - first, k, lm]


@serial
def group_pairs(  # type: ignore[no-untyped-def]
    first, second, half, species, vectors, starts, neighbours, reverse
):
    """Both ends of every pair of a half list, grouped by atom and species of the neighbour.

    Reads i and j (P,), r_ij (P, 3) and the species of the N atoms; writes the rest, which
    `neighbours.Neighbourhood` explains. `starts` comes in as zeros.
    """
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
        for a in range(3):
            vectors[here, a], vectors[there, a] = half[p, a], -half[p, a]
