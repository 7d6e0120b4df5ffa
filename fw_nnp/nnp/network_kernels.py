"""Small networks for a block of atoms, there and twice back, compiled by numba.

The twin in plain torch is `network`. Rows are the units of all layers, one layer after the other;
columns are atoms. Weights (out, in) and biases (out,) of the layers lie one after the other in
`weights` from `start` on, in `turned` the same matrices transposed. The last layer has one unit
and no tanh.
"""

from __future__ import annotations

from .jit import serial
from .matrix_kernels import add_outer, matrix, times, unsigned

_MOST = 20.0
"""tanh differs from one by less than a float64 can tell from here on."""
# tanh x = x (1 + A1 x² + ...) / (1 + B1 x² + ...) to the last digit for |x| < 1.3: Lambert's
# continued fraction, cut after nine terms.
_A1, _A2, _A3, _A4 = (a / 34459425.0 for a in (4729725.0, 135135.0, 990.0, 1.0))
_B1, _B2, _B3, _B4 = (b / 34459425.0 for b in (16216200.0, 945945.0, 13860.0, 45.0))


@serial
def _tanh(x, n_columns):  # type: ignore[no-untyped-def]
    """tanh in place: of a sixteenth of x, doubled four times; unlike the library's, in vectors."""
    n, kind = unsigned(n_columns), x.dtype.type
    most, share, one, two = kind(_MOST), kind(1.0 / 16.0), kind(1.0), kind(2.0)
    a1, a2, a3, a4 = kind(_A1), kind(_A2), kind(_A3), kind(_A4)
    b1, b2, b3, b4 = kind(_B1), kind(_B2), kind(_B3), kind(_B4)
    for r in range(unsigned(len(x))):
        for j in range(n):
            u = x[r, j]
            u = most if u > most else u
            u = share * (-most if u < -most else u)
            s = u * u
            t = u * (one + s * (a1 + s * (a2 + s * (a3 + s * a4))))
            t /= one + s * (b1 + s * (b2 + s * (b3 + s * b4)))
            t = two * t / (one + t * t)
            t = two * t / (one + t * t)
            t = two * t / (one + t * t)
            x[r, j] = two * t / (one + t * t)


@serial
def network(weights, turned, start, layers, n, signals, chain):  # type: ignore[no-untyped-def]
    """Signals of all layers, and dE/dsignal of each; rows of the layers one after the other."""
    row = 0
    for i in range(len(layers) - 1):
        a, b = layers[i], layers[i + 1]
        w = matrix(weights, start, b, a)
        bias = weights[start + a * b : start + a * b + b]
        out = signals[row + a : row + a + b]
        times(w, signals[row : row + a], n, out)
        for r in range(b):
            for j in range(n):
                out[r, j] += bias[r]
        if i < len(layers) - 2:
            _tanh(out, n)
        start += a * b + b
        row += a
    chain[row, :n] = 1.0
    for i in range(len(layers) - 2, -1, -1):
        a, b = layers[i], layers[i + 1]
        start -= a * b + b
        by_z = chain[row : row + b]
        row -= a
        times(matrix(turned, start, a, b), by_z, n, chain[row : row + a])
        if i > 0:  # through the tanh that made this signal
            for r in range(row, row + a):
                for j in range(n):
                    chain[r, j] *= 1.0 - signals[r, j] * signals[r, j]


@serial
def network_back(  # type: ignore[no-untyped-def]
    weights, turned, start, layers, n, by_energies, signals, chain, tangents, back, out
):
    """Gradient of sum_j e_j E_j + u_j.dE_j/dx in weights, added to `out`, and in x, rows of `back`.

    With a dot for the derivative along u, which is in the first rows of `tangents`, that is
    the gradient of e E + E': signals go forward a second time with their derivatives, and both
    come back. The way back of the derivatives is `chain`, where it is dE/dz but in the first rows.
    """
    row = 0
    for i in range(len(layers) - 1):
        a, b = layers[i], layers[i + 1]
        w = matrix(weights, start, b, a)
        times(w, tangents[row : row + a], n, tangents[row + a : row + a + b])
        if i < len(layers) - 2:
            for r in range(row + a, row + a + b):
                for j in range(n):
                    s = signals[r, j]
                    back[r, j] = -2.0 * s * tangents[r, j] * chain[r, j]
                    tangents[r, j] *= 1.0 - s * s
        start += a * b + b
        row += a
    for j in range(n):
        back[row, j] = by_energies[j]
    for i in range(len(layers) - 2, -1, -1):
        a, b = layers[i], layers[i + 1]
        start -= a * b + b
        by_z, by_rate = back[row : row + b], chain[row : row + b]
        for r in range(b):
            for j in range(n):
                out[start + a * b + r] += by_z[r, j]
        row -= a
        below = tangents[row : row + a]
        gradient = matrix(out, start, b, a)
        add_outer(by_z, signals[row : row + a], n, gradient)
        add_outer(by_rate, below, n, gradient)
        if i == 0:
            times(matrix(turned, start, a, b), by_z, n, back[:a])
            continue
        times(matrix(turned, start, a, b), by_z, n, below)
        for r in range(row, row + a):
            for j in range(n):
                back[r, j] += (1.0 - signals[r, j] * signals[r, j]) * tangents[r, j]
