"""Moments of the neighbour density and forces from their derivatives, in plain torch.

The twin of `kernels` for every device and for export, and the place of the formulas. With

    M_klm = sum_j f_k(r_ij) S_lm(u_ij)

and H = dE_i/dM, the gradient of the atomic energy with respect to the vector to a neighbour is

    g_ij = dE_i/dr_ij = t + u (v - u.t) ,
    v = sum_k f_k' sum_lm H_klm S_lm ,
    t = sum_k (f_k/r) sum_lm H_klm sum_l'm' D_lm,l'm' S_l'm' ,

where D differentiates solid harmonics and the projection takes the radial part out of t. The
forces are linear in H, so the derivative of a loss with respect to H is the transposed map of its
derivative with respect to forces and virials, and nothing on the way needs to be stored.

Atoms are padded to equally many neighbours here: an unused slot holds one at the cutoff, where
every radial function vanishes with its first three derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .batch import AtomBatch
from .harmonics import ladder, solid_harmonics
from .radial import radial_functions


@dataclass(frozen=True, kw_only=True, eq=False)
class Padded:
    """Pairs in R = A Z rows of J slots, and what follows from the vectors alone.

    Attributes
    ----------
    slots
        (R, J) index of the pair; 0 in unused slots, where `used` is False.
    vectors, directions
        (R, 3, J).
    inverse
        (R, 1, J) 1/Å.
    values, slopes
        (R, K, J) radial functions and their derivatives.
    harmonics
        (R, (l_max + 1)², J).
    """

    slots: Tensor
    used: Tensor
    vectors: Tensor
    directions: Tensor
    inverse: Tensor
    values: Tensor
    slopes: Tensor
    harmonics: Tensor

    def places(self, n_pairs: int) -> tuple[Tensor, Tensor]:
        """Row and slot of each pair."""
        counts = self.used.sum(1)
        rows = torch.arange(counts.shape[0], device=counts.device)
        rows = torch.repeat_interleave(rows, counts, output_size=n_pairs)
        return rows, torch.arange(n_pairs, device=rows.device) - self.slots[rows, 0]


def pad(batch: AtomBatch, cutoff: float, n_basis: int, l_max: int) -> Padded:
    """Slots and basis functions of a batch."""
    starts, counts = batch.starts[:-1], torch.diff(batch.starts)
    width = counts.max().clamp(min=1).item()
    torch._check(width >= 1)  # said to torch.export, which cannot know
    columns = torch.arange(width, device=starts.device)
    used = columns < counts[:, None]
    slots = torch.where(used, starts[:, None] + columns, 0)
    away = batch.vectors.new_tensor([cutoff, 0.0, 0.0])
    vectors = torch.where(used[..., None], batch.vectors[slots], away).transpose(1, 2)
    distances = (vectors * vectors).sum(1, keepdim=True).sqrt()
    directions = vectors / distances
    values, slopes = radial_functions(distances[:, 0], cutoff, n_basis)
    return Padded(
        slots=slots,
        used=used,
        vectors=vectors,
        directions=directions,
        inverse=1.0 / distances,
        values=values,
        slopes=slopes,
        harmonics=solid_harmonics(directions, l_max),
    )


def moments(padded: Padded, n_species: int) -> Tensor:
    """M (Z K, (l_max + 1)², A)."""
    return _atoms_last(padded.values @ padded.harmonics.transpose(1, 2), n_species)


def pair_gradients(padded: Padded, h: Tensor, n_pairs: int, l_max: int) -> Tensor:
    """g (E, 3) from H (Z K, (l_max + 1)², A)."""
    rows = _rows(h, padded.values.shape[1])
    steps = ladder(l_max).to(rows)
    n, lower = rows.shape[1], steps.shape[2]
    lowered = (rows @ steps.transpose(0, 1).flatten(1)).unflatten(2, (3, lower))
    along = ((rows @ padded.harmonics) * padded.slopes).sum(1, keepdim=True)
    across = (lowered.flatten(1, 2) @ padded.harmonics[:, :lower]).unflatten(1, (n, 3))
    across = (across * padded.values[:, :, None]).sum(1) * padded.inverse
    along = along - (padded.directions * across).sum(1, keepdim=True)
    gradients = across + padded.directions * along
    return gradients.transpose(1, 2)[padded.places(n_pairs)]


def transposed(padded: Padded, by_pairs: Tensor, n_species: int, l_max: int) -> Tensor:
    """dL/dH (Z K, (l_max + 1)², A) from dL/dg (E, 3)."""
    by_slots = by_pairs[padded.slots] * padded.used[..., None]
    by_slots = by_slots.transpose(1, 2)
    along = (padded.directions * by_slots).sum(1, keepdim=True)
    across = (by_slots - padded.directions * along) * padded.inverse
    steps = ladder(l_max).to(across)
    lower = steps.shape[2]
    products = across[:, None] * padded.values[:, :, None]  # (R, K, 3, J)
    sums = products.flatten(1, 2) @ padded.harmonics[:, :lower].transpose(1, 2)
    sums = sums.unflatten(1, (-1, 3)).flatten(2)
    lowered = sums @ steps.transpose(1, 2).flatten(0, 1)
    radial = (along * padded.slopes) @ padded.harmonics.transpose(1, 2)
    return _atoms_last(radial + lowered, n_species)


def forces_and_virials(g: Tensor, batch: AtomBatch) -> tuple[Tensor, Tensor]:
    """Forces (A, 3) and atomic virials (A, 3, 3) from g_ij = dE_i/dr_ij, (E, 3).

    F_i = sum_j (g_ij - g_ji); the virial of atom i is sum_j r_ij (x) g_ij, and its sum over
    atoms dE/d(strain).
    """
    centres = batch.centres()
    net = g - g.index_select(0, batch.reverse)
    forces = g.new_zeros(batch.n_atoms, 3).index_add(0, centres, net)
    products = batch.vectors[:, :, None] * g[:, None, :]
    return forces, g.new_zeros(batch.n_atoms, 3, 3).index_add(0, centres, products)


def by_pairs(batch: AtomBatch, by_forces: Tensor, by_virials: Tensor) -> Tensor:
    """dL/dg (E, 3) from dL/dF (A, 3) and dL/dvirials (A, 3, 3)."""
    centres = batch.centres()
    by_virial = torch.einsum("ea,eab->eb", batch.vectors, by_virials[centres])
    return by_forces[centres] - by_forces[batch.neighbours] + by_virial


def _atoms_last(rows: Tensor, n_species: int) -> Tensor:
    """(A Z, K, L) -> (Z K, L, A)."""
    return rows.unflatten(0, (-1, n_species)).permute(1, 2, 3, 0).flatten(0, 1)


def _rows(h: Tensor, n_basis: int) -> Tensor:
    """(Z K, L, A) -> (A Z, K, L)."""
    return h.unflatten(0, (-1, n_basis)).permute(3, 0, 1, 2).flatten(0, 1)
