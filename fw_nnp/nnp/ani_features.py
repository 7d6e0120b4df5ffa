"""ANI's atomic environment vectors: distances, and angles between pairs of neighbours.

Smith, Isayev and Roitberg, Chem. Sci. 8, 3192 (2017), equations 2 to 4, with atom i at the centre:

    radial   1/4 sum_j exp(-eta (r_ij - s)²) c(r_ij)
    angular  2^(1 - zeta) sum_(j<k) (1 + cos(theta_jik - t))^zeta
             exp(-eta ((r_ij + r_ik) / 2 - s)²) c(r_ij) c(r_ik)
    cutoff   c(r) = (1 + cos(pi r / rc)) / 2

One block of radial features per element of j, one of angular ones per pair of elements of j and k.
Shifts start at 0.9 Å and are evenly spaced up to, and without, the cutoff; those of the angle are
the middles of eight equal parts of 0 to pi. The factor 1/4, which the paper does not print, is
TorchANI's. As in TorchANI, cos(theta) is multiplied by 0.95: the derivatives of theta are infinite
at 0 and pi, where crystals have most of their angles.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from .batch import AtomBatch

N_RADIAL = 22
N_SHELLS, N_ANGLES = 4, 8
N_ANGULAR = N_SHELLS * N_ANGLES
FIRST_SHIFT = 0.9  # Å
RADIAL_ETA, ANGULAR_ETA = 16.0, 8.0  # 1/Å²
ZETA = 32
SHRINK = 0.95  # of cos(theta)


def n_features(n_species: int) -> int:
    """Length of the vector for Z species: 22 Z + 32 Z (Z + 1) / 2."""
    return N_RADIAL * n_species + N_ANGULAR * n_species * (n_species + 1) // 2


def features(batch: AtomBatch, cutoff: float, angular_cutoff: float) -> Tensor:
    """(A, n_features), differentiable twice in `batch.vectors`.

    Parameters
    ----------
    cutoff, angular_cutoff
        Å, the second not above the first.
    """
    distances = batch.vectors.norm(dim=1)
    rows = torch.repeat_interleave(torch.diff(batch.starts))  # (E,) atom x Z + species of j
    near = torch.nonzero(distances.detach() < angular_cutoff)[:, 0]
    angular = _angular(batch.vectors[near], distances[near], rows[near], batch, angular_cutoff)
    return torch.cat([_radial(distances, rows, batch, cutoff), angular], dim=1)


def _radial(distances: Tensor, rows: Tensor, batch: AtomBatch, cutoff: float) -> Tensor:
    """(A, Z 22)."""
    shells = _gaussians(distances, cutoff, N_RADIAL, RADIAL_ETA)
    terms = 0.25 * shells * cosine_cutoff(distances, cutoff)[:, None]
    sums = terms.new_zeros(batch.n_atoms * batch.n_species, N_RADIAL).index_add(0, rows, terms)
    return sums.view(batch.n_atoms, -1)


def _angular(
    vectors: Tensor, distances: Tensor, rows: Tensor, batch: AtomBatch, cutoff: float
) -> Tensor:
    """(A, Z (Z + 1) / 2 x 32) from the pairs within the angular cutoff."""
    z = batch.n_species
    j, k = _couples(torch.div(rows, z, rounding_mode="floor"), batch.n_atoms)
    directions = vectors / distances[:, None]
    cosine = SHRINK * (directions[j] * directions[k]).sum(1, keepdim=True)
    sine = (1.0 - cosine * cosine).sqrt()
    shifts = pi * (torch.arange(N_ANGLES).to(cosine) + 0.5) / N_ANGLES
    angles = 2.0 * (0.5 * (1.0 + cosine * shifts.cos() + sine * shifts.sin())) ** ZETA
    shells = _gaussians(0.5 * (distances[j] + distances[k]), cutoff, N_SHELLS, ANGULAR_ETA)
    envelope = cosine_cutoff(distances, cutoff)
    shells = shells * (envelope[j] * envelope[k])[:, None]
    terms = (shells[:, :, None] * angles[:, None, :]).flatten(1)
    # pairs are sorted by species, so that of j is not above that of k
    first, second = rows[j] % z, rows[k] % z
    block = first * z - torch.div(first * (first + 1), 2, rounding_mode="floor") + second
    n_blocks = z * (z + 1) // 2
    target = torch.div(rows[j], z, rounding_mode="floor") * n_blocks + block
    sums = terms.new_zeros(batch.n_atoms * n_blocks, N_ANGULAR).index_add(0, target, terms)
    return sums.view(batch.n_atoms, -1)


def _couples(centres: Tensor, n_atoms: int) -> tuple[Tensor, Tensor]:
    """Indices (T,) j < k of all couples of pairs with the same centre; `centres` is sorted."""
    ends = torch.bincount(centres, minlength=n_atoms).cumsum(0)
    own = torch.arange(len(centres), device=centres.device)
    later = ends[centres] - own - 1  # pairs of the same atom behind this one
    j = torch.repeat_interleave(later)
    k = torch.arange(len(j), device=j.device) - (later.cumsum(0) - later)[j] + j + 1
    return j, k


def _gaussians(distances: Tensor, cutoff: float, count: int, eta: float) -> Tensor:
    """(..., count) Gaussian shells."""
    shifts = FIRST_SHIFT + (cutoff - FIRST_SHIFT) * torch.arange(count).to(distances) / count
    return torch.exp(-eta * (distances[:, None] - shifts) ** 2)


def cosine_cutoff(distances: Tensor, cutoff: float) -> Tensor:
    """1 at 0 and 0 at the cutoff, where its slope vanishes and its curvature does not."""
    return 0.5 + 0.5 * torch.cos(pi * distances / cutoff)
