"""Moments, and forces and virials as a linear map of H = dE/dM, on whatever device they are.

On a processor the compiled `kernels` do the work, elsewhere plain torch (`pair_sums`, where the
formulas are); a test holds the two against each other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import kernels, pair_sums
from .batch import AtomBatch
from .compiled import compiled, in_parts
from .tables import Tables, tables


def moments(batch: AtomBatch, cutoff: float, n_basis: int, l_max: int) -> Tensor:
    """M (Z K, (l_max + 1)², A), constant under training."""
    if not compiled(batch.vectors):
        padded = pair_sums.pad(batch, cutoff, n_basis, l_max)
        return pair_sums.moments(padded, batch.n_species)
    shape = (batch.n_species * n_basis, (l_max + 1) ** 2, batch.n_atoms)
    out = batch.vectors.new_empty(shape)
    constants = _constants(batch, cutoff, l_max)
    in_parts(kernels.moments, batch.n_atoms, *_geometry(batch), *constants, n_basis, out.numpy())
    return out


def forces_and_virials(
    h: Tensor, batch: AtomBatch, cutoff: float, n_basis: int, l_max: int
) -> tuple[Tensor, Tensor]:
    """Forces (A, 3) eV/Å and atomic virials (A, 3, 3) eV from H (Z K, (l_max + 1)², A)."""
    forces, virials = _LinearForces.apply(h, batch, cutoff, n_basis, l_max)
    return forces, virials


def pair_gradients(h: Tensor, batch: AtomBatch, cutoff: float, n_basis: int, l_max: int) -> Tensor:
    """g_ij = dE_i/dr_ij (E, 3) eV/Å; not differentiable."""
    if not compiled(h):
        padded = pair_sums.pad(batch, cutoff, n_basis, l_max)
        return pair_sums.pair_gradients(padded, h, batch.vectors.shape[0], l_max)
    g = torch.empty_like(batch.vectors)
    constants = _constants(batch, cutoff, l_max)
    slopes = h.detach().contiguous().numpy()
    in_parts(
        kernels.pair_gradients,
        batch.n_atoms,
        *_geometry(batch),
        *constants,
        n_basis,
        slopes,
        g.numpy(),
    )
    return g


class _LinearForces(torch.autograd.Function):
    """H -> forces and virials; the way back is the transposed map."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, batch: AtomBatch, cutoff: float, n_basis: int, l_max: int
    ) -> tuple[Tensor, Tensor]:
        ctx.arguments = batch, cutoff, n_basis, l_max
        g = pair_gradients(h, batch, cutoff, n_basis, l_max)
        if not compiled(h):
            return pair_sums.forces_and_virials(g, batch)
        forces, virials = h.new_empty(batch.n_atoms, 3), h.new_empty(batch.n_atoms, 3, 3)
        in_parts(
            kernels.forces_and_virials,
            batch.n_atoms,
            *_geometry(batch),
            batch.reverse.numpy(),
            g.numpy(),
            forces.numpy(),
            virials.numpy(),
        )
        return forces, virials

    @staticmethod
    def backward(
        ctx: Any, by_forces: Tensor, by_virials: Tensor
    ) -> tuple[Tensor, None, None, None, None]:
        batch, cutoff, n_basis, l_max = ctx.arguments
        if not compiled(by_forces):
            padded = pair_sums.pad(batch, cutoff, n_basis, l_max)
            by_pairs = pair_sums.by_pairs(batch, by_forces, by_virials)
            by_h = pair_sums.transposed(padded, by_pairs, batch.n_species, l_max)
            return by_h, None, None, None, None
        shape = (batch.n_species * n_basis, (l_max + 1) ** 2, batch.n_atoms)
        out = batch.vectors.new_empty(shape)
        in_parts(
            kernels.transposed,
            batch.n_atoms,
            *_geometry(batch),
            batch.neighbours.numpy(),
            *_constants(batch, cutoff, l_max),
            n_basis,
            by_forces.contiguous().numpy(),
            by_virials.contiguous().numpy(),
            out.numpy(),
        )
        return out, None, None, None, None


def _geometry(batch: AtomBatch) -> tuple[Any, Any]:
    return batch.vectors.numpy(), batch.starts.numpy()


def _constants(batch: AtomBatch, cutoff: float, l_max: int) -> tuple[Any, Tables]:
    vectors = batch.vectors.numpy()
    return vectors.dtype.type(cutoff), tables(l_max, vectors.dtype.name)
