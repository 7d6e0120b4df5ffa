"""The default model: moments of the neighbour density, their invariants, a network.

The geometry fixes the moments M_klm = sum_j f_k(r_ij) S_lm(u_ij). Learned contractions turn them
into densities, whose `invariants` do not change under rotation; one network per element maps them
to the atomic energy, to which the `embedding` of scalar densities is added. The cost grows with the
number of neighbours, not of pairs of them.

Everything but the contractions and the network is constant under training, and forces are linear in
H = dE/dM (see `linear_forces`): one ordinary backward pass trains on forces and stress.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from fw_nnp.core.specs import ModelSpec

from . import linear_forces
from .atom_kernels import Sizes
from .atom_model import Constants, energies_and_slopes, mean_energies_and_slopes
from .batch import AtomBatch
from .compiled import compiled
from .embedding import Embedding, typical
from .harmonics import ladder
from .invariants import L_CUBIC, cubes, power_spectrum, power_spectrum_slopes
from .network import Network
from .potential import Potential
from .radial import radial_functions
from .sphere import quadrature


class Moments(Potential):
    """Density-trick potential for any number of elements; a committee of M members if asked for.

    Parameters are the contractions ``radial.SYMBOL.pairs`` (M, 2 n_radial, Z n_basis) and
    ``radial.SYMBOL.cubic`` (M, n_cubic, Z n_basis), ``embedding.SYMBOL.densities``
    (M, n_embedded, Z n_basis) and ``.strengths`` (M, n_embedded, 2), and
    ``network.SYMBOL.LAYER.weight`` and ``.bias``. Members share the moments and nothing else.
    """

    spec: ModelSpec
    mean: Tensor
    deviation: Tensor
    conditioner: Tensor

    def __init__(self, spec: ModelSpec, elements: list[str], seed: int) -> None:
        super().__init__(spec, elements, seed)
        generator = torch.Generator().manual_seed(seed)
        n_functions = len(elements) * spec.n_basis
        n_features = spec.n_radial * (spec.l_max + 1) + spec.n_cubic
        # later functions vary faster; starting with little of them starts with a smooth surface
        smooth = (1.0 / (1.0 + _roughness(spec.n_basis, len(elements)))).float()
        self.radial, self.embedding, self.network = (nn.ModuleDict() for _ in range(3))
        for symbol in elements:
            learned = nn.ParameterDict()
            for name, count in (("pairs", 2 * spec.n_radial), ("cubic", spec.n_cubic)):
                start = torch.randn(spec.n_members, count, n_functions, generator=generator)
                learned[name] = nn.Parameter(start * smooth)
            self.radial[symbol] = learned
            self.embedding[symbol] = Embedding(spec.n_members, spec.n_embedded, smooth, generator)
            self.network[symbol] = Network(spec.n_members, [n_features, *spec.hidden], generator)
        shape = (len(elements), spec.n_members, n_features, 1)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))
        self.register_buffer("conditioner", torch.eye(spec.n_basis))

    def roughness(self) -> dict[str, Tensor]:
        """Zero for the smoothest radial function, k for the k-th after it."""
        each = _roughness(self.spec.n_basis, len(self.elements))
        names = ("radial.{}.pairs", "radial.{}.cubic", "embedding.{}.densities")
        return {name.format(symbol): each for symbol in self.elements for name in names}

    def find_constants(self) -> None:
        ladder(self.spec.l_max)
        quadrature(min(self.spec.l_max, L_CUBIC))

    def atomic_energies(self, batch: AtomBatch) -> Tensor:
        return self._mean_sensitivities(batch)[0]

    def pair_gradients(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        energies, h = self._mean_sensitivities(batch)
        return energies, linear_forces.pair_gradients(h, batch, *self._basis)

    def evaluate(self, batch: AtomBatch) -> tuple[Tensor, Tensor, Tensor]:
        energies, h = self._mean_sensitivities(batch)
        return energies, *linear_forces.forces_and_virials(h, batch, *self._basis)

    def evaluate_members(self, batch: AtomBatch) -> tuple[Tensor, Tensor, Tensor]:
        energies, h = self._sensitivities(batch)
        found = [linear_forces.forces_and_virials(one, batch, *self._basis) for one in h]
        forces, virials = zip(*found, strict=True)
        return energies, torch.stack(forces), torch.stack(virials)

    @property
    def _basis(self) -> tuple[float, int, int]:
        return self.cutoff, self.spec.n_basis, self.spec.l_max

    def _mean_sensitivities(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        """As `_sensitivities`, (A,) and (Z K, ..., A), of all members together."""
        if torch.is_grad_enabled() or not compiled(batch.vectors):
            energies, h = self._sensitivities(batch)
            return _mean(energies), _mean(h)
        moments = linear_forces.moments(batch, *self._basis)
        return mean_energies_and_slopes(
            moments, batch.species, self._constants(), self._of_species()
        )

    def _sensitivities(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        """Atomic energies (M, A) and H = dE/dM (M, Z K, (l_max + 1)², A), element by element."""
        moments = linear_forces.moments(batch, *self._basis)
        if compiled(moments):
            return energies_and_slopes(
                moments, batch.species, self._constants(), self._of_species()
            )
        if len(self.elements) == 1:
            return self._of_element(0, moments)
        groups = [torch.nonzero(batch.species == z)[:, 0] for z in range(len(self.elements))]
        parts = [self._of_element(z, moments[:, :, group]) for z, group in enumerate(groups)]
        back = torch.argsort(torch.cat(groups))
        energies = torch.cat([part[0] for part in parts], dim=1)[:, back]
        return energies, torch.cat([part[1] for part in parts], dim=3)[..., back]

    def _constants(self) -> Constants:
        spec, network = self.spec, cast(Network, self.network[self.elements[0]])
        sizes = Sizes(
            pairs=spec.n_radial,
            cubic=spec.n_cubic,
            embedded=spec.n_embedded,
            l_max=spec.l_max,
            l_cubic=min(spec.l_max, L_CUBIC),
            functions=len(self.elements) * spec.n_basis,
            layers=np.array([layer.weight.shape[2] for layer in network.layers] + [1]),
        )
        scales = np.stack([self.mean[..., 0].numpy(), self.deviation[..., 0].numpy()], axis=2)
        return Constants(sizes=sizes, conditioner=self.conditioner.numpy(), scales=scales)

    def contractions(self) -> list[nn.Parameter]:
        """All that are learned, (M, densities, Z K) each: `CONTRACTIONS` per element."""
        return [learned for symbol in self.elements for learned in self._learned(symbol)]

    def _learned(self, symbol: str) -> list[nn.Parameter]:
        radial = cast(nn.ParameterDict, self.radial[symbol])
        return [radial["pairs"], radial["cubic"], self._embedding(symbol).densities]

    def _embedding(self, symbol: str) -> Embedding:
        return cast(Embedding, self.embedding[symbol])

    def _of_species(self) -> list[Tensor]:
        """The parameters in the order that `atom_model` wants them in."""
        found: list[Tensor] = []
        for symbol in self.elements:
            found += [*self._learned(symbol), self._embedding(symbol).strengths]
            for layer in cast(Network, self.network[symbol]).layers:
                found += [layer.weight, layer.bias]
        return found

    def _of_element(self, species: int, moments: Tensor) -> tuple[Tensor, Tensor]:
        pairs, cubic, densities = self._contractions(species)
        a, b = self._densities(pairs, cubic, moments)
        power, (third, thirds) = power_spectrum(a), cubes(b)
        features = self._features(power, third)
        network = cast(Network, self.network[self.elements[species]])
        energies, slopes = network.value_and_gradient(
            (features - self.mean[species]) / self.deviation[species]
        )
        slopes = slopes / self.deviation[species]
        of_power, of_third = slopes.split([slopes.shape[1] - cubic.shape[1], cubic.shape[1]], 1)
        by_a = power_spectrum_slopes(a, of_power.flatten(0, 1))
        by_b = 3.0 * of_third.flatten(0, 1)[:, None] * thirds
        members = self.spec.n_members
        halves = by_a.flatten(1).unflatten(0, (2, members, -1)).transpose(0, 1).flatten(1, 2)
        cubed = by_b.flatten(1).unflatten(0, (members, -1))
        h = torch.baddbmm(pairs.mT @ halves, cubic.mT, cubed).unflatten(2, moments.shape[1:])
        embedding = self._embedding(self.elements[species])
        more, slopes = embedding.value_and_gradient(densities, moments[:, 0])
        first, others = h.split([1, h.shape[2] - 1], 2)
        return energies + more, torch.cat([first + slopes[:, :, None], others], 2)

    def _densities(self, pairs: Tensor, cubic: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves of all pairs (2 M n_radial, ...), and those to be cubed (M n_cubic, ...)."""
        halves = pairs.unflatten(1, (2, -1)).transpose(0, 1).flatten(0, 2)
        flat, shape = moments.flatten(1), moments.shape[1:]
        return (
            (halves @ flat).unflatten(1, shape),
            (cubic.flatten(0, 1) @ flat).unflatten(1, shape),
        )

    def _features(self, power: Tensor, third: Tensor) -> Tensor:
        """(M, features, A)."""
        parts = [part.unflatten(0, (self.spec.n_members, -1)) for part in (power, third)]
        return torch.cat(parts, dim=1)

    def _contractions(self, species: int) -> tuple[Tensor, Tensor, Tensor]:
        """(M, densities, Z K) each: learned contractions of orthonormal radial functions."""
        n = len(self.elements)
        pairs, cubic, densities = (
            (learned.unflatten(2, (n, -1)) @ self.conditioner).flatten(2)
            for learned in self._learned(self.elements[species])
        )
        return pairs, cubic, densities

    @torch.no_grad()
    def adapt(self, batch: AtomBatch) -> None:
        """Orthonormal radial functions over the pairs of `batch`, standardised features.

        Embedded densities get a root mean square of one.
        """
        distances = batch.vectors.norm(dim=1).double()[None]
        values, _ = radial_functions(distances, self.cutoff, self.spec.n_basis)
        gram = values[0] @ values[0].T / batch.n_atoms
        gram += 1e-6 * gram.trace() * torch.eye(len(gram))
        self.conditioner.copy_(torch.linalg.inv(torch.linalg.cholesky(gram)))
        moments = linear_forces.moments(batch, *self._basis)
        for species in range(len(self.elements)):
            mine = moments[:, :, batch.species == species]
            if mine.shape[2]:
                pairs, cubic, densities = self._contractions(species)
                embedding = self._embedding(self.elements[species])
                embedding.densities.div_(typical(densities @ mine[:, 0]))
                a, b = self._densities(pairs, cubic, mine)
                features = self._features(power_spectrum(a), cubes(b)[0])
                self.mean[species] = features.mean(2, keepdim=True)
                spread = features.std(2, correction=0, keepdim=True)
                largest = spread.amax(1, keepdim=True)
                self.deviation[species] = spread.clamp(min=1e-3 * largest + 1e-6)


def _roughness(n_basis: int, n_elements: int) -> Tensor:
    return torch.arange(n_basis, dtype=torch.float64).repeat(n_elements)


def _mean(of_members: Tensor) -> Tensor:
    """Over the members; without a copy where there is one."""
    return of_members[0] if len(of_members) == 1 else of_members.mean(0)
