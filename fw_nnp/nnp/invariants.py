"""Invariants of densities on the sphere, and their slopes.

Two kinds, of densities that a model has learned to make from the moments:

- the power spectrum p_nl = sum_m A_nlm B_nlm of two densities each (Bartók et al., Phys. Rev.
  B 87, 184115 (2013)), in which an atom sees the angles between two neighbours;
- the cubes q_n = <rho_n³>, averages over the sphere of rho_n = sum_lm (2 l + 1) D_nlm S_lm, in
  which it sees how three neighbours lie. In the moments that is the sum of D_a D_b D_c over the
  Gaunt coefficients G_abc, all bispectra of one density at once.

Derivatives are written out, for compiled loops on a processor and as plain torch elsewhere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import invariant_kernels as kernels
from .compiled import compiled, use_threads
from .sphere import quadrature, triples

L_CUBIC = 3
"""Largest degree in cubes: higher ones cost much and add little."""


def power_spectrum(densities: Tensor) -> Tensor:
    """p (N (l_max + 1), A) of densities (2 N, (l_max + 1)², A): the A_n, then the B_n."""
    return _Power.apply(densities)


def power_spectrum_slopes(densities: Tensor, weights: Tensor) -> Tensor:
    """sum_nl w_nl dp_nl/dD (2 N, (l_max + 1)², A) with weights (N (l_max + 1), A)."""
    return _PowerSlopes.apply(densities, weights)


def cubes(densities: Tensor) -> tuple[Tensor, Tensor]:
    """q (N, A) of densities (N, (l + 1)², A), and (dq/dD) / 3, of the densities' shape."""
    return _Cubes.apply(densities)


class _Power(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, densities: Tensor) -> Tensor:
        ctx.save_for_backward(densities)
        return _products(densities, densities)

    @staticmethod
    def backward(ctx: Any, by_features: Tensor) -> Tensor:
        (densities,) = ctx.saved_tensors
        return _exchanged(densities, by_features)


class _PowerSlopes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, densities: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(densities, weights)
        return _exchanged(densities, weights)

    @staticmethod
    def backward(ctx: Any, by_slopes: Tensor) -> tuple[Tensor, Tensor]:
        densities, weights = ctx.saved_tensors
        by_weights = _products(by_slopes, densities) + _products(densities, by_slopes)
        return _exchanged(by_slopes, weights), by_weights


class _Cubes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, densities: Tensor) -> tuple[Tensor, Tensor]:
        thirds = _coupled(densities, densities)
        ctx.save_for_backward(densities, thirds)
        return (densities * thirds).sum(1), thirds

    @staticmethod
    def backward(ctx: Any, by_features: Tensor, by_thirds: Tensor) -> Tensor:
        densities, thirds = ctx.saved_tensors
        return 3.0 * by_features[:, None] * thirds + 2.0 * _coupled(densities, by_thirds)


def _products(x: Tensor, y: Tensor) -> Tensor:
    """(N (l_max + 1), A): sum over m of the first half of x times the second half of y."""
    l_max = _l_max(x)
    if compiled(x):
        out = x.new_empty(len(x) // 2 * (l_max + 1), x.shape[2])
        use_threads()
        kernels.products(_array(x), _array(y), l_max, out.numpy())
        return out
    terms = x[: len(x) // 2] * y[len(y) // 2 :]
    sizes = [2 * degree + 1 for degree in range(l_max + 1)]
    return torch.stack([part.sum(1) for part in terms.split(sizes, dim=1)], dim=1).flatten(0, 1)


def _exchanged(x: Tensor, weights: Tensor) -> Tensor:
    """The halves of x change places, each component times the weight of its n and l."""
    l_max = _l_max(x)
    if compiled(x):
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        use_threads()
        kernels.exchanged(_array(x), _array(weights), l_max, out.numpy())
        return out
    sizes = torch.tensor([2 * degree + 1 for degree in range(l_max + 1)], device=x.device)
    wide = weights.unflatten(0, (-1, l_max + 1)).repeat_interleave(sizes, dim=1)
    return torch.cat([wide * x[len(x) // 2 :], wide * x[: len(x) // 2]])


def _coupled(x: Tensor, y: Tensor) -> Tensor:
    """sum_bc G_abc x_b y_c: the moments of the product of two densities."""
    if compiled(x):
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        use_threads()
        dtype = str(x.dtype).removeprefix("torch.")
        table = triples(min(_l_max(x), L_CUBIC), x.shape[1], dtype)
        kernels.coupled(_array(x), _array(y), table, out.numpy())
        return out
    values, weights = (tensor.to(x) for tensor in quadrature(min(_l_max(x), L_CUBIC)))
    kept = values.shape[1]
    product = (values @ x[:, :kept]) * (values @ y[:, :kept])
    return torch.cat([(values.T * weights) @ product, torch.zeros_like(x[:, kept:])], dim=1)


def _l_max(x: Tensor) -> int:
    return round(x.shape[1] ** 0.5) - 1


def _array(x: Tensor) -> Any:
    return x.detach().contiguous().numpy()
