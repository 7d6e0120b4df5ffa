"""Radial functions: Chebyshev polynomials times a smooth cutoff."""

from __future__ import annotations

import torch
from torch import Tensor


def radial_functions(distances: Tensor, cutoff: float, count: int) -> tuple[Tensor, Tensor]:
    """f_k(r) = T_k(t) (1 - x²)⁴ with t = 2 (1 - x²)² - 1 and x = r/rc, and df_k/dr.

    The cutoff factor and its first three derivatives vanish at rc. In the angle whose cosine is t,
    T_k is a cosine, and that angle grows with x almost evenly, by 4 / (2 - x²)^½; so the functions
    tell distances apart wherever there are neighbours. With x for x² (Fan et al., Phys. Rev. B 104,
    104309 (2021)) more than half of the range goes to distances shorter than the bonds of a metal.

    Parameters
    ----------
    distances
        (A, J) Å.
    cutoff
        rc in Å.
    count
        Number K of functions.

    Returns
    -------
    tuple of Tensor
        Both (A, K, J): the functions and their slopes in 1/Å.
    """
    x = (distances / cutoff).clamp(max=1.0)
    rest = 1.0 - x * x
    envelope = (rest**4)[:, None]
    envelope_slope = ((-8.0 / cutoff) * x * rest**3)[:, None]
    t = 2.0 * rest * rest - 1.0
    t_slope = (-8.0 / cutoff) * x * rest
    twice = 2.0 * t
    first = [torch.ones_like(t), t]  # T_k
    second = [torch.zeros_like(t), t_slope, twice * t_slope]  # U_(k-1) dt/dr
    for _ in range(count - 2):
        first.append(twice * first[-1] - first[-2])
        second.append(twice * second[-1] - second[-2])
    values = torch.stack(first[:count], dim=1)
    slopes = torch.stack(second[:count], dim=1)  # dT_k/dt = k U_(k-1)
    slopes = slopes * torch.arange(count, device=t.device, dtype=t.dtype)[:, None]
    return values * envelope, values * envelope_slope + slopes * envelope
