"""A model of somebody else: a learned pair potential with one key of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fw_nnp.core.specs import PluginSpec
from fw_nnp.nnp.batch import AtomBatch
from fw_nnp.nnp.potential import Potential
from fw_nnp.nnp.radial import radial_functions


class PairPotential(Potential):
    """Half of sum_k w_k f_k(r) per pair, with weights per pair of elements."""

    def __init__(
        self, spec: PluginSpec, elements: list[str], seed: int, *, n_functions: int = 4
    ) -> None:
        super().__init__(spec, elements, seed)
        generator = torch.Generator().manual_seed(seed)
        self.n_functions = n_functions
        start = torch.randn(len(elements) ** 2, n_functions, generator=generator)
        self.strengths = nn.Parameter(start)

    def atomic_energies(self, batch: AtomBatch) -> Tensor:
        distances = batch.vectors.norm(dim=1)
        values, _ = radial_functions(distances[None], self.cutoff, self.n_functions)
        centres = batch.centres()
        kinds = batch.species[centres] * batch.n_species + batch.species[batch.neighbours]
        terms = 0.5 * (values[0].T * self.strengths[kinds]).sum(1)
        return terms.new_zeros(batch.n_atoms).index_add(0, centres, terms)
