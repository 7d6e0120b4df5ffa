"""Real solid harmonics and the matrices that differentiate them.

S_lm is the real harmonic polynomial of degree l in Racah's normalisation, so that
sum_m S_lm(u) S_lm(v) = P_l(u.v) for unit vectors. The index of (l, m) is l² + l + m.
"""

from __future__ import annotations

from functools import cache
from math import factorial, sqrt

import torch
from torch import Tensor


def degrees(l_max: int) -> list[int]:
    """The degree l of every index up to `l_max`: 0, 1, 1, 1, 2, ..."""
    return [l for l in range(l_max + 1) for _ in range(2 * l + 1)]  # noqa: E741


def solid_harmonics(vectors: Tensor, l_max: int) -> Tensor:
    """S_lm of `vectors`, by the recursions of associated Legendre functions.

    Parameters
    ----------
    vectors
        (A, 3, J).
    l_max
        Largest degree.

    Returns
    -------
    Tensor
        (A, (l_max + 1)², J).
    """
    x, y, z = vectors.unbind(1)
    square = x * x + y * y + z * z
    cosine, sine = [torch.ones_like(x)], [torch.zeros_like(x)]
    for _ in range(l_max):  # real and imaginary part of (x + iy)^m
        c, s = cosine[-1], sine[-1]
        cosine.append(x * c - y * s)
        sine.append(x * s + y * c)
    rows: list[Tensor] = [x] * (l_max + 1) ** 2
    diagonal = 1.0
    for m in range(l_max + 1):
        before, legendre = torch.zeros_like(x), torch.full_like(x, diagonal)
        for degree in range(m, l_max + 1):
            norm = sqrt((2 - (m == 0)) * factorial(degree - m) / factorial(degree + m))
            centre = degree * degree + degree
            rows[centre + m] = norm * legendre * cosine[m]
            if m:
                rows[centre - m] = norm * legendre * sine[m]
            rising = (2 * degree + 1) * z * legendre - (degree + m) * square * before
            before, legendre = legendre, rising / (degree - m + 1)
        diagonal *= 2 * m + 1
    return torch.stack(rows, dim=1)


@cache
@torch.enable_grad()
def ladder(l_max: int) -> Tensor:
    """D with dS_lm/dx_a = sum_l'm' D[a, lm, l'm'] S_l'm', where only l' = l - 1 enters.

    A derivative of a harmonic polynomial is a harmonic polynomial of one degree less; the
    coefficients follow from as many points as one likes.

    Returns
    -------
    Tensor
        (3, (l_max + 1)², l_max²) float64; at least one column.
    """
    points = torch.randn(1, 3, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points.requires_grad_()
    values = solid_harmonics(points, l_max)[0]
    matrix = torch.zeros(3, len(values), max(l_max**2, 1), dtype=torch.float64)
    for index, degree in enumerate(degrees(l_max)):
        if degree == 0:
            continue
        (slope,) = torch.autograd.grad(values[index].sum(), points, retain_graph=True)
        lower = slice((degree - 1) ** 2, degree**2)
        basis = values[lower].detach().T
        matrix[:, index, lower] = torch.linalg.lstsq(basis, slope[0].T).solution.T
    return matrix.masked_fill(matrix.abs() < 1e-12, 0.0)
