"""Embedding energies of learned densities, added to what the network gives.

E = sum_e a_e (t_e - 1) + b_e (r(t_e) - 1) with r(t) = (t² + SOFT²)^(1/4) and densities
t_e = sum_j f_e(r_ij) of learned radial functions, about one in the training cells. The first term
is a pair potential; the second, for the positive densities of bonds, the square root by which the
bonds of a metal get weaker the more there are (Finnis and Sinclair, Phil. Mag. A 50, 45, 1984).
Unlike the network's, this part is right far from the training cells too: at surfaces and in
crystals of other coordination.
"""

from __future__ import annotations

import torch
from torch import Tensor

SOFT = 0.1
"""Keeps the root smooth where a density vanishes."""


def embedded(densities: Tensor, strengths: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Energies (M, A) and their slopes (M, Z K, A) in `counts`.

    Parameters
    ----------
    densities
        (M, E, Z K) contractions.
    strengths
        (M, E, 2): a and b.
    counts
        (Z K, A) moments of degree 0.
    """
    linear, root = strengths[..., :1], strengths[..., 1:]
    t = densities @ counts
    square = t * t + SOFT**2
    energies = (linear * (t - 1.0) + root * (square.pow(0.25) - 1.0)).sum(1)
    slopes = linear + 0.5 * root * t * square.pow(-0.75)
    return energies, densities.mT @ slopes


def typical(densities: Tensor, counts: Tensor) -> Tensor:
    """(M, E, 1) root mean square of the densities over the atoms; one where that is zero."""
    found = (densities @ counts).square().mean(2, keepdim=True).sqrt()
    return torch.where(found > 0.0, found, torch.ones_like(found))
