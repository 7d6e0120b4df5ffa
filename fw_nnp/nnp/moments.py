"""The default model: moments of the neighbour density, their invariants, a network.

The geometry fixes the moments M_klm = sum_j f_k(r_ij) S_lm(u_ij). Learned contractions turn them
into densities, whose `invariants` do not change under rotation; one network per element maps them
to the atomic energy. The cost grows with the number of neighbours, not of pairs of them.

Everything but the contractions and the network is constant under training, and forces are linear in
H = dE/dM (see `linear_forces`): one ordinary backward pass trains on forces and stress.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from fw_nnp.core.specs import ModelSpec

from . import linear_forces
from .batch import AtomBatch
from .invariants import Invariants
from .network import Network
from .potential import Potential
from .radial import radial_functions


class Moments(Potential):
    """Density-trick potential for any number of elements.

    Parameters are called ``radial.SYMBOL``, (densities, Z n_basis), and
    ``network.SYMBOL.LAYER.weight`` and ``.bias``.
    """

    mean: Tensor
    deviation: Tensor
    conditioner: Tensor

    def __init__(self, spec: ModelSpec, elements: list[str], seed: int) -> None:
        super().__init__(spec, elements, seed)
        generator = torch.Generator().manual_seed(seed)
        self.invariants = Invariants(spec)
        n_functions = len(elements) * spec.n_basis
        # later functions vary faster; starting with little of them starts with a smooth surface
        smooth = 1.0 / (1.0 + torch.arange(spec.n_basis)).repeat(len(elements))
        self.radial = nn.ParameterDict()
        self.network = nn.ModuleDict()
        for symbol in elements:
            start = torch.randn(self.invariants.n_densities, n_functions, generator=generator)
            self.radial[symbol] = nn.Parameter(start * smooth)
            self.network[symbol] = Network([self.invariants.n_features, *spec.hidden], generator)
        n_features = self.invariants.n_features
        self.register_buffer("mean", torch.zeros(len(elements), n_features))
        self.register_buffer("deviation", torch.ones(len(elements), n_features))
        self.register_buffer("conditioner", torch.eye(spec.n_basis))

    def atomic_energies(self, batch: AtomBatch) -> Tensor:
        return self._sensitivities(batch)[0]

    def pair_gradients(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        energies, h = self._sensitivities(batch)
        return energies, linear_forces.pair_gradients(h, batch, *self._basis)

    def evaluate(self, batch: AtomBatch) -> tuple[Tensor, Tensor, Tensor]:
        energies, h = self._sensitivities(batch)
        return energies, *linear_forces.forces_and_virials(h, batch, *self._basis)

    @property
    def _basis(self) -> tuple[float, int, int]:
        return self.cutoff, self.spec.n_basis, self.spec.l_max

    def _sensitivities(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        """Atomic energies (A,) and H = dE/dM (Z K, (l_max + 1)², A), element by element."""
        moments = linear_forces.moments(batch, *self._basis)
        if len(self.elements) == 1:
            return self._of_element(0, moments)
        groups = [torch.nonzero(batch.species == z)[:, 0] for z in range(len(self.elements))]
        parts = [self._of_element(z, moments[:, :, group]) for z, group in enumerate(groups)]
        back = torch.argsort(torch.cat(groups))
        energies = torch.cat([part[0] for part in parts])[back]
        return energies, torch.cat([part[1] for part in parts], dim=2)[:, :, back]

    def _of_element(self, species: int, moments: Tensor) -> tuple[Tensor, Tensor]:
        contraction = self._contraction(species)
        densities = (contraction @ moments.flatten(1)).unflatten(1, moments.shape[1:])
        features, slopes_of = self.invariants(densities)
        deviation = self.deviation[species, :, None]
        network = cast(Network, self.network[self.elements[species]])
        energies, slopes = network.value_and_gradient(
            (features - self.mean[species, :, None]) / deviation
        )
        by_densities = slopes_of(slopes / deviation)
        return energies, (contraction.T @ by_densities.flatten(1)).view(moments.shape)

    def _contraction(self, species: int) -> Tensor:
        """(densities, Z K): the learned contraction of orthonormal radial functions."""
        learned = self.radial[self.elements[species]]
        blocks = learned.view(len(learned), len(self.elements), -1) @ self.conditioner
        return blocks.flatten(1)

    @torch.no_grad()
    def adapt(self, batch: AtomBatch) -> None:
        """Orthonormal radial functions over the pairs of `batch`, standardised features."""
        distances = batch.vectors.norm(dim=1).double()[None]
        values, _ = radial_functions(distances, self.cutoff, self.spec.n_basis)
        gram = values[0] @ values[0].T / batch.n_atoms
        gram += 1e-6 * gram.trace() * torch.eye(len(gram))
        self.conditioner.copy_(torch.linalg.inv(torch.linalg.cholesky(gram)))
        moments = linear_forces.moments(batch, *self._basis)
        for species in range(len(self.elements)):
            mine = moments[:, :, batch.species == species]
            if mine.shape[2]:
                densities = self._contraction(species) @ mine.flatten(1)
                features, _ = self.invariants(densities.unflatten(1, mine.shape[1:]))
                self.mean[species] = features.mean(1)
                spread = features.std(1, correction=0)
                self.deviation[species] = spread.clamp(min=1e-3 * float(spread.max()) + 1e-6)
