"""The paper's model: ANI features and one GELU network per element.

Kept so that the recipe of Jung, APL Mach. Learn. 2, 046102 (2024) can be rerun like for like. Its
forces come from differentiating twice, so it trains far more slowly than `moments`, and its energy
is less smooth where a neighbour crosses a cutoff.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from fw_nnp.core.specs import AniSpec

from .ani_features import features, n_features
from .batch import AtomBatch
from .network import LAST_LAYER
from .potential import Potential


class Ani(Potential):
    """ANI potential for any number of elements.

    Parameters are ``network.SYMBOL.LAYER.weight`` (out, in) and ``.bias`` (out,). Features enter
    the networks standardised, which the paper leaves to the first layer to learn.
    """

    smoothness: ClassVar[int] = 1

    spec: AniSpec
    mean: Tensor
    deviation: Tensor

    def __init__(self, spec: AniSpec, elements: list[str], seed: int) -> None:
        super().__init__(spec, elements, seed)
        generator = torch.Generator().manual_seed(seed)
        sizes = [n_features(len(elements)), *spec.hidden]
        self.network = nn.ModuleDict({symbol: _layers(sizes, generator) for symbol in elements})
        self.register_buffer("mean", torch.zeros(len(elements), sizes[0]))
        self.register_buffer("deviation", torch.ones(len(elements), sizes[0]))

    def atomic_energies(self, batch: AtomBatch) -> Tensor:
        found = features(batch, self.cutoff, self.spec.angular_cutoff)
        energies = found.new_zeros(batch.n_atoms)
        for species, symbol in enumerate(self.elements):
            mine = torch.nonzero(batch.species == species)[:, 0]
            signal = (found[mine] - self.mean[species]) / self.deviation[species]
            *hidden, last = cast(nn.ModuleList, self.network[symbol])
            for layer in hidden:
                signal = gelu(layer(signal))
            energies = energies.index_add(0, mine, last(signal)[:, 0])
        return energies

    @torch.no_grad()
    def adapt(self, batch: AtomBatch) -> None:
        """Standardise the features over the atoms of each element."""
        found = features(batch, self.cutoff, self.spec.angular_cutoff)
        for species in range(len(self.elements)):
            mine = found[batch.species == species]
            if len(mine):
                self.mean[species] = mine.mean(0)
                spread = mine.std(0, correction=0)
                self.deviation[species] = spread.clamp(min=1e-2 * float(spread.max()) + 1e-6)


def _layers(sizes: list[int], generator: torch.Generator) -> nn.ModuleList:
    """Linear layers 0, 1, 2 ... to one output; the last starts small."""
    layers = nn.ModuleList()
    for n_in, n_out in zip(sizes, [*sizes[1:], 1], strict=True):
        layer = nn.Linear(n_in, n_out)
        scale = LAST_LAYER if len(layers) == len(sizes) - 1 else 1.0
        nn.init.normal_(layer.weight, std=scale * n_in**-0.5, generator=generator)
        nn.init.zeros_(layer.bias)
        layers.append(layer)
    return layers
