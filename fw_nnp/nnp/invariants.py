"""Invariants of densities on the sphere, and their slopes, in plain torch.

Two kinds, of densities that a model has learned to make from the moments:

- the power spectrum p_nl = sum_m A_nlm B_nlm of two densities each (Bartók et al., Phys. Rev.
  B 87, 184115 (2013)), in which an atom sees the angles between two neighbours;
- the cubes q_n = <rho_n³>, averages over the sphere of rho_n = sum_lm (2 l + 1) D_nlm S_lm, in
  which it sees how three neighbours lie. In the moments that is the sum of D_a D_b D_c over the
  Gaunt coefficients G_abc, all bispectra of one density at once.

The compiled twin, for processors, is `invariant_kernels`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .sphere import quadrature

L_CUBIC = 3
"""Largest degree in cubes: higher ones cost much and add little."""


def power_spectrum(densities: Tensor) -> Tensor:
    """p (N (l_max + 1), A) of densities (2 N, (l_max + 1)², A): the A_n, then the B_n."""
    first, second = densities.chunk(2)
    sizes = _sizes(densities)
    return torch.stack([p.sum(1) for p in (first * second).split(sizes, dim=1)], dim=1).flatten(
        0, 1
    )


def power_spectrum_slopes(densities: Tensor, weights: Tensor) -> Tensor:
    """sum_nl w_nl dp_nl/dD (2 N, (l_max + 1)², A) with weights (N (l_max + 1), A)."""
    sizes = _sizes(densities)
    repeats = torch.tensor(sizes, device=densities.device)
    wide = weights.unflatten(0, (-1, len(sizes))).repeat_interleave(repeats, dim=1)
    first, second = densities.chunk(2)
    return torch.cat([wide * second, wide * first])


def cubes(densities: Tensor) -> tuple[Tensor, Tensor]:
    """q (N, A) of densities (N, (l + 1)², A), and (dq/dD) / 3, of the densities' shape."""
    l_cubic = min(len(_sizes(densities)) - 1, L_CUBIC)
    values, weights = (tensor.to(densities) for tensor in quadrature(l_cubic))
    kept = values.shape[1]
    rest = torch.zeros_like(densities[:, kept:])
    thirds = torch.cat([(values.T * weights) @ (values @ densities[:, :kept]) ** 2, rest], dim=1)
    return (densities * thirds).sum(1), thirds


def _sizes(densities: Tensor) -> list[int]:
    """Components of each degree."""
    return [2 * degree + 1 for degree in range(round(densities.shape[1] ** 0.5))]
