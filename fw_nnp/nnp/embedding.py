"""Embedding energies of learned densities, added to what the network gives.

E = sum_e a_e (s(t_e) - 1) + b_e (r(t_e) - 1) with r(t) = (t² + SOFT²)^(1/4) and densities
t_e = sum_j f_e(r_ij) of learned radial functions, about one in the training cells. The first term
is a pair potential, s(t) = t; the second, for the positive densities of bonds, the square root by
which the bonds of a metal get weaker the more there are (Finnis and Sinclair, Phil. Mag. A 50, 45,
1984). Of this form a few numbers are learned from all cells, so that it carries further than the
network from what was trained on: to surfaces, and to crystals of other coordination.

Where atoms come closer than in any cell, densities are many times what they were, and the fixed
repulsion is to rule: beyond LIMIT, s turns away from s(t) = t and stays below 2 LIMIT.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .embedding_kernels import LIMIT, SOFT
from .network import LAST_LAYER


class Embedding(nn.Module):
    """``densities`` (M, E, Z K): learned functions; ``strengths`` (M, E, 2): a and b of each.

    Parameters
    ----------
    members, count
        M and E.
    smooth
        (Z K,) size of each basis function at the start.
    generator
        Random numbers of the start.
    """

    def __init__(
        self, members: int, count: int, smooth: Tensor, generator: torch.Generator
    ) -> None:
        super().__init__()
        densities = smooth * torch.randn(members, count, len(smooth), generator=generator)
        first = smooth == 1.0
        # those of bonds are positive
        densities[..., first] = densities[..., first].abs() + 0.5
        bound = LAST_LAYER * (3.0 / max(2 * count, 1)) ** 0.5
        strengths = torch.empty(members, count, 2).uniform_(-bound, bound, generator=generator)
        self.densities, self.strengths = nn.Parameter(densities), nn.Parameter(strengths)

    def value_and_gradient(self, densities: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """(M, A) energies and their (M, Z K, A) gradients.

        Parameters
        ----------
        densities
            (M, E, Z K) the own ones, of orthonormal radial functions.
        counts
            (Z K, A) moments of degree 0.
        """
        linear, root = self.strengths[..., :1], self.strengths[..., 1:]
        t = densities @ counts
        kept, by_t = bounded(t)
        square = t * t + SOFT**2
        energies = (linear * (kept - 1.0) + root * (square.pow(0.25) - 1.0)).sum(1)
        slopes = linear * by_t + 0.5 * root * t * square.pow(-0.75)
        return energies, densities.mT @ slopes


def bounded(t: Tensor) -> tuple[Tensor, Tensor]:
    """s(t) and ds/dt: t up to LIMIT, then LIMIT (1 + u (1 + u⁴)^(-1/4)) with u = |t| / LIMIT - 1.

    Its first four derivatives are continuous.
    """
    u = (t.abs() / LIMIT - 1.0).clamp(min=0.0)
    rest = 1.0 + u**4
    return t - LIMIT * t.sign() * u * (1.0 - rest.pow(-0.25)), rest.pow(-1.25)


def typical(densities: Tensor) -> Tensor:
    """(M, E, 1) root mean square over the atoms of (M, E, A); one where that is zero."""
    found = densities.square().mean(2, keepdim=True).sqrt()
    return torch.where(found > 0.0, found, torch.ones_like(found))
