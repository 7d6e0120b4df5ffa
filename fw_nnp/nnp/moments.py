"""The default model: moments of the neighbour density, their invariants, a network.

The geometry fixes the moments M_klm = sum_j f_k(r_ij) Y_lm(u_ij). Learned contractions turn them
into densities A_nlm = sum_k c_nk M_klm and B_nlm = sum_k d_nk M_klm, whose products
p_nl = sum_m A_nlm B_nlm do not change under rotation: a power spectrum (Bartók et al., Phys. Rev.
B 87, 184115 (2013)) that has learned which radial functions to pair. One network per element
maps p to the atomic energy. The cost grows with the number of neighbours, not of pairs of them.

Everything but the contractions and the network is constant under training, and forces are linear in
H = dE/dM (see `linear_forces`): one ordinary backward pass trains on forces and stress.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from fw_nnp.core.specs import ModelSpec

from .batch import AtomBatch
from .harmonics import degrees, ladder, solid_harmonics
from .linear_forces import apply_sensitivities
from .network import Network
from .potential import Potential
from .radial import radial_functions


class Moments(Potential):
    """Density-trick potential for any number of elements.

    Parameters are called ``radial.SYMBOL``, (2 n_radial, Z n_basis), and
    ``network.SYMBOL.LAYER.weight`` and ``.bias``.
    """

    mean: Tensor
    deviation: Tensor
    conditioner: Tensor

    def __init__(self, spec: ModelSpec, elements: list[str], seed: int) -> None:
        super().__init__(spec, elements, seed)
        generator = torch.Generator().manual_seed(seed)
        n_functions = len(elements) * spec.n_basis
        n_features = spec.n_radial * (spec.l_max + 1)
        # later functions vary faster; starting with little of them starts with a smooth surface
        smooth = 1.0 / (1.0 + torch.arange(spec.n_basis)).repeat(len(elements))
        self.radial = nn.ParameterDict()
        self.network = nn.ModuleDict()
        for symbol in elements:
            start = torch.randn(2 * spec.n_radial, n_functions, generator=generator)
            self.radial[symbol] = nn.Parameter(start * smooth)
            self.network[symbol] = Network([n_features, *spec.hidden], generator)
        self.register_buffer("mean", torch.zeros(len(elements), n_features))
        self.register_buffer("deviation", torch.ones(len(elements), n_features))
        self.register_buffer("conditioner", torch.eye(spec.n_basis))

    # ------------------------------------------------------------ geometry

    def prepare(self, batch: AtomBatch) -> AtomBatch:
        """Append the direction u, f', f/r, Y to the rows of `pairs`, and the moments.

        Rows: 3 vector, 3 direction, Z K slopes, Z K ratios, (l_max + 1)² harmonics. A function
        has a row per species and vanishes for neighbours of another. `moments` is
        (A, Z K, (l_max + 1)²).
        """
        vectors = batch.vectors
        distances = (vectors * vectors).sum(1, keepdim=True).sqrt()
        directions = vectors / distances
        values, slopes = radial_functions(distances[:, 0], self.cutoff, self.spec.n_basis)
        values = self._by_species(self.conditioner @ values, batch)
        slopes = self._by_species(self.conditioner @ slopes, batch)
        harmonics = solid_harmonics(directions, self.spec.l_max)
        rows = [vectors, directions, slopes, values / distances, harmonics]
        moments = values @ harmonics.transpose(1, 2)
        return replace(batch, pairs=torch.cat(rows, dim=1), moments=moments)

    def _by_species(self, functions: Tensor, batch: AtomBatch) -> Tensor:
        """(A, K, J) -> (A, Z K, J), zero outside the block of the neighbour's species."""
        n_species = len(self.elements)
        if n_species == 1:
            return functions
        species = batch.species[batch.neighbours]
        blocks = [functions * (species == z)[:, None] for z in range(n_species)]
        return torch.cat(blocks, dim=1)

    # ------------------------------------------------------------ energy

    def atomic_energies(self, batch: AtomBatch) -> Tensor:
        return self._sensitivities([self.prepare(batch)])[0]

    def evaluate(self, batches: Sequence[AtomBatch]) -> tuple[Tensor, Tensor, Tensor]:
        energies, sensitivities = self._sensitivities(batches)
        steps = ladder(self.spec.l_max).to(sensitivities)
        forces, virials = apply_sensitivities(sensitivities, steps, batches)
        return energies, forces, virials

    def _sensitivities(self, batches: Sequence[AtomBatch]) -> tuple[Tensor, Tensor]:
        """Atomic energies (A,) and H = dE/dM (Z K, (l_max + 1)², A), element by element."""
        # atoms last: vectorised over them
        moments = torch.cat([batch.moments for batch in batches]).permute(1, 2, 0).contiguous()
        if len(self.elements) == 1:
            return self._of_element(0, moments)
        species = torch.cat([batch.species for batch in batches])
        groups = [torch.nonzero(species == z)[:, 0] for z in range(len(self.elements))]
        parts = [self._of_element(z, moments[:, :, group]) for z, group in enumerate(groups)]
        back = torch.argsort(torch.cat(groups))
        energies = torch.cat([part[0] for part in parts])[back]
        return energies, torch.cat([part[1] for part in parts], dim=2)[:, :, back]

    def _of_element(self, species: int, moments: Tensor) -> tuple[Tensor, Tensor]:
        symbol = self.elements[species]
        radial = self.radial[symbol]
        first, second = self._densities(radial, moments)
        deviation = self.deviation[species, :, None]
        inputs = (self._invariants(first, second) - self.mean[species, :, None]) / deviation
        network = cast(Network, self.network[symbol])
        energies, slopes = network.value_and_gradient(inputs)
        slopes = slopes / deviation
        slopes = slopes.unflatten(0, (self.spec.n_radial, self.spec.l_max + 1))
        slopes = slopes.index_select(1, torch.tensor(degrees(self.spec.l_max)))
        products = torch.cat([slopes * second, slopes * first]).flatten(1)
        return energies, (radial.T @ products).view(moments.shape)

    def _densities(self, radial: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
        """A and B, both (n_radial, (l_max + 1)², A)."""
        densities = (radial @ moments.flatten(1)).view(len(radial), *moments.shape[1:])
        first, second = densities.chunk(2)
        return first, second

    def _invariants(self, first: Tensor, second: Tensor) -> Tensor:
        """p_nl (n_radial (l_max + 1), A)."""
        sizes = [2 * degree + 1 for degree in range(self.spec.l_max + 1)]
        parts = [part.sum(1) for part in (first * second).split(sizes, dim=1)]
        return torch.stack(parts, dim=1).flatten(0, 1)

    # ------------------------------------------------------------ start

    @torch.no_grad()
    def adapt(self, batch: AtomBatch) -> None:
        """Orthonormal radial functions over the pairs of `batch`, standardised features."""
        distances = (batch.vectors**2).sum(1).sqrt().double()
        values, _ = radial_functions(distances, self.cutoff, self.spec.n_basis)
        values = values.transpose(0, 1).flatten(1)
        gram = values @ values.T / batch.n_atoms
        gram += 1e-6 * gram.trace() * torch.eye(len(gram))
        self.conditioner.copy_(torch.linalg.inv(torch.linalg.cholesky(gram)))
        moments = self.prepare(batch).moments.permute(1, 2, 0)
        for species, symbol in enumerate(self.elements):
            mine = moments[:, :, batch.species == species]
            if mine.shape[2]:
                features = self._invariants(*self._densities(self.radial[symbol], mine))
                self.mean[species] = features.mean(1)
                spread = features.std(1, correction=0)
                self.deviation[species] = spread.clamp(min=1e-3 * float(spread.max()) + 1e-6)
