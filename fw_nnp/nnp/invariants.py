"""Invariants of densities on the sphere, and their slopes.

p_nl = sum_m A_nlm B_nlm of two densities each: a power spectrum (Bartók et al., Phys. Rev.
B 87, 184115 (2013)) that has learned which radial functions to pair.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fw_nnp.core.specs import ModelSpec

from .harmonics import degrees


class Invariants(nn.Module):
    """(densities, (l_max + 1)², A) -> (features, A)."""

    degrees: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.n_radial, self.l_max = spec.n_radial, spec.l_max
        self.n_densities = 2 * spec.n_radial
        self.n_features = spec.n_radial * (spec.l_max + 1)
        self.register_buffer("degrees", torch.tensor(degrees(spec.l_max)), persistent=False)

    def forward(self, densities: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        first, second = densities.chunk(2)
        sizes = [2 * degree + 1 for degree in range(self.l_max + 1)]
        parts = [part.sum(1) for part in (first * second).split(sizes, dim=1)]
        features = torch.stack(parts, dim=1).flatten(0, 1)

        def slopes_of(slopes: Tensor) -> Tensor:
            slopes = slopes.unflatten(0, (self.n_radial, self.l_max + 1))
            slopes = slopes.index_select(1, self.degrees)
            return torch.cat([slopes * second, slopes * first])

        return features, slopes_of
