"""Forces and virials as a linear map of H = dE/dM, and its transpose for training.

With E_i a function of the moments M_klm = sum_j f_k(r_ij) Y_lm(u_ij), the pair force is

    g_ij = dE_i/dr_ij = t + u (v - u.t) ,
    v = sum_k f_k' sum_lm H_klm Y_lm ,
    t = sum_k (f_k/r) sum_lm H_klm sum_l'm' D_lm,l'm' Y_l'm' ,

where D differentiates solid harmonics and the projection takes the radial part out of t. All but H
are constants of the geometry, so the derivative of a loss with respect to H is the transposed map
of the loss's derivative with respect to forces and virials: nothing of the way there is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .batch import AtomBatch
from .potential import forces_and_virials


def apply_sensitivities(
    sensitivities: Tensor, steps: Tensor, batches: Sequence[AtomBatch]
) -> tuple[Tensor, Tensor]:
    """Forces (A, 3) and atomic virials (A, 3, 3).

    Parameters
    ----------
    sensitivities
        H (n, (l_max + 1)², A), n radial functions.
    steps
        D (3, (l_max + 1)², lower), from `harmonics.ladder`.
    batches
        Prepared batches with A atoms in all; rows of `pairs`: 3 vector, 3 direction, n slopes
        f', n ratios f/r, (l_max + 1)² harmonics.
    """
    n, _, n_atoms = sensitivities.shape
    direct = sensitivities.permute(2, 0, 1).contiguous()
    lowered = direct @ steps.transpose(0, 1).flatten(1)  # (A, n, 3 lower)
    lowered = lowered.view(n_atoms, 3 * n, -1)
    forces, virials = _LinearForces.apply(direct, lowered, batches)
    return forces, virials


class _LinearForces(torch.autograd.Function):
    """(H (A, n, L), D^T H (A, 3 n, lower)) -> forces and virials, batch by batch."""

    @staticmethod
    def forward(
        ctx: Any, direct: Tensor, lowered: Tensor, batches: Sequence[AtomBatch]
    ) -> tuple[Tensor, Tensor]:
        ctx.batches = batches
        ctx.sizes = direct.shape[1], direct.shape[2], lowered.shape[2]
        found = []
        for batch, rows in _rows(batches):
            slopes = _pair_forces(direct[rows], lowered[rows], batch.pairs)
            found.append(forces_and_virials(slopes, batch))
        return torch.cat([f for f, _ in found]), torch.cat([v for _, v in found])

    @staticmethod
    def backward(ctx: Any, by_forces: Tensor, by_virials: Tensor) -> tuple[Tensor, Tensor, None]:
        found = [
            _transposed(by_forces[rows], by_virials[rows], batch, ctx.sizes)
            for batch, rows in _rows(ctx.batches)
        ]
        return torch.cat([d for d, _ in found]), torch.cat([low for _, low in found]), None


def _rows(batches: Sequence[AtomBatch]) -> Iterator[tuple[AtomBatch, slice]]:
    start = 0
    for batch in batches:
        yield batch, slice(start, start + batch.n_atoms)
        start += batch.n_atoms


def _pair_forces(direct: Tensor, lowered: Tensor, pairs: Tensor) -> Tensor:
    """g (A, 3, J)."""
    n, n_harmonics = direct.shape[1:]
    lower = lowered.shape[2]
    _, directions, slopes, ratios, harmonics = pairs.split([3, 3, n, n, n_harmonics], dim=1)
    radial = torch.bmm(direct, harmonics).mul_(slopes).sum(1, keepdim=True)
    across = torch.bmm(lowered, harmonics[:, :lower]).unflatten(1, (n, 3))
    tangent = across.mul_(ratios[:, :, None]).sum(1)
    radial -= (directions * tangent).sum(1, keepdim=True)
    return tangent.addcmul_(directions, radial)


def _transposed(
    by_forces: Tensor, by_virials: Tensor, batch: AtomBatch, sizes: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Derivatives with respect to H and D^T H from those with respect to forces and virials."""
    n, n_harmonics, lower = sizes
    n_atoms, n_slots = batch.neighbours.shape
    vectors, directions, slopes, ratios, harmonics = batch.pairs.split(
        [3, 3, n, n, n_harmonics], dim=1
    )
    others = by_forces.T.contiguous().index_select(1, batch.neighbours.flatten())
    others = others.view(3, n_atoms, n_slots).transpose(0, 1)
    by_pairs = torch.bmm(by_virials.transpose(1, 2), vectors).sub_(others)
    by_pairs += by_forces[:, :, None]
    radial = (directions * by_pairs).sum(1, keepdim=True)
    tangent = by_pairs.addcmul_(directions, radial, value=-1.0)
    across = (tangent[:, None] * ratios[:, :, None]).view(n_atoms, 3 * n, n_slots)
    by_lowered = torch.bmm(across, harmonics[:, :lower].transpose(1, 2))
    return torch.bmm(radial * slopes, harmonics.transpose(1, 2)), by_lowered
