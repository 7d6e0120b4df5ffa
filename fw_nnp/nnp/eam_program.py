"""The EAM potential of `eam` in plain torch, for programs that are exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .batch import AtomBatch
from .eam import Eam


class EamProgram(nn.Module):
    """Atomic energies (A,) eV and g_ij = dE_i/dr_ij (E, 3) eV/Å; a test holds it against `Eam`."""

    embedding: Tensor
    density: Tensor
    pair: Tensor

    def __init__(self, eam: Eam) -> None:
        super().__init__()
        self.cutoff = eam.cutoff
        self.d_r, self.d_rho = eam.steps
        for name in ("embedding", "density", "pair"):
            self.register_buffer(name, torch.from_numpy(getattr(eam, name)))

    def forward(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        centres = batch.centres()
        own, other = batch.species[centres], batch.species[batch.neighbours]
        r = (batch.vectors * batch.vectors).sum(1).sqrt()
        m, t = _place(r, self.d_r, self.pair.shape[2])
        inside = (r < self.cutoff).to(r)
        f, f_slope = _cubic(self.density[own, other, m], t, self.d_r)
        z, z_slope = _cubic(self.pair[own, other, m], t, self.d_r)  # r phi
        rho = r.new_zeros(batch.n_atoms).index_add(0, centres, f * inside)
        m, t = _place(rho, self.d_rho, self.embedding.shape[1])
        energies, by_density = _cubic(self.embedding[batch.species, m], t, self.d_rho)
        highest = (self.embedding.shape[1] - 1) * self.d_rho
        energies = energies + by_density * (rho - highest).clamp(min=0.0)
        energies = energies.index_add(0, centres, 0.5 * z / r * inside)
        slope = by_density[centres] * f_slope + 0.5 * (z_slope - z / r) / r
        return energies, (slope * inside / r)[:, None] * batch.vectors


def _place(x: Tensor, step: float, count: int) -> tuple[Tensor, Tensor]:
    """Intervals in a table of `count` entries, and how far in them, at most 1."""
    t = x / step
    m = t.long().clamp(min=0, max=count - 2)
    return m, (t - m).clamp(max=1.0)


def _cubic(c: Tensor, t: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Values and slopes of cubics with coefficients (..., 4) of t³, t², t and 1."""
    a, b, linear, constant = c.unbind(-1)
    value = ((a * t + b) * t + linear) * t + constant
    return value, ((3.0 * a * t + 2.0 * b) * t + linear) / step
