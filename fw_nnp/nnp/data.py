"""Labelled configurations as tensors that a training step can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fw_nnp.core.records import Configuration, LabelledConfiguration
from fw_nnp.core.specs import LossWeights
from fw_nnp.core.units import GPA

from .batch import AtomBatch, geometry, join
from .fixed import Baseline
from .loss import Errors, Targets, errors, residuals
from .neighbours import find_neighbours
from .potential import Potential

VALIDATION_ATOMS = 512
ADAPT_CELLS = 64


def read_configuration(
    model: Potential, configuration: Configuration, dtype: torch.dtype
) -> tuple[AtomBatch, Baseline]:
    """Geometry and fixed terms of one configuration."""
    batch, found = geometry(configuration, model.elements, model.cutoff, dtype)
    species = batch.species.numpy()
    if model.fixed.cutoff > model.cutoff:
        found = find_neighbours(configuration, model.fixed.cutoff, species, len(model.elements))
    return batch, model.fixed.of_cell(species, found, found.shortest)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One labelled configuration: its geometry and what should come out."""

    configuration_id: str
    batch: AtomBatch
    targets: Targets


def read_cell(model: Potential, item: LabelledConfiguration, weights: LossWeights) -> Cell:
    """Tensors of one labelled configuration, float32 but for the energy."""
    configuration, label = item.configuration, item.label
    batch, baseline = read_configuration(model, configuration, torch.float32)
    n = configuration.n_atoms
    forces = np.zeros((n, 3)) if label.forces is None else label.forces - baseline.forces
    stress = np.zeros((3, 3))
    has_stress = False
    if label.stress is not None and all(configuration.pbc):
        has_stress = True
        stress = label.stress - baseline.virial / configuration.volume
    share = next((factor for phase, factor in weights.phases.items() if phase == item.phase), 1.0)
    force_shares = np.ones(n)
    if weights.force_scale is not None and label.forces is not None:
        sizes = np.linalg.norm(label.forces, axis=1)
        force_shares = 1.0 / (1.0 + sizes / weights.force_scale)
    targets = Targets(
        energy=torch.tensor([label.energy - baseline.energy], dtype=torch.float64),
        n_atoms=torch.tensor([n]),
        forces=torch.tensor(forces).float(),
        has_forces=torch.full((n,), float(label.forces is not None)),
        stress=torch.tensor(stress[None]).float(),
        has_stress=torch.tensor([float(has_stress)]),
        share=torch.tensor([share]),
        force_share=torch.tensor(share * force_shares).float(),
    )
    return Cell(configuration_id=configuration.id, batch=batch, targets=targets)


class CellSet:
    """The cells of a training or validation set, from which batches are joined.

    Parameters
    ----------
    head
        Of the model, that the labels are for.

    Attributes
    ----------
    stress_offset
        GPa: constant in the normal stresses of the labels, taken off them.
    """

    def __init__(self, cells: Sequence[Cell], head: str = "") -> None:
        self.cells = list(cells)
        self.head = head
        self.stress_offset = 0.0

    def __len__(self) -> int:
        return len(self.cells)

    def take(self, indices: Sequence[int]) -> tuple[AtomBatch, Targets]:
        """Batch and targets of some cells."""
        chosen = [self.cells[index] for index in indices]
        names = Targets.__dataclass_fields__
        targets = {n: torch.cat([getattr(cell.targets, n) for cell in chosen]) for n in names}
        if self.stress_offset:
            constant = self.stress_offset * GPA * torch.eye(3)
            targets["stress"] -= targets["has_stress"][:, None, None] * constant
        return join([cell.batch for cell in chosen]), Targets(**targets)

    def in_order(self, batch_size: int) -> Iterator[tuple[AtomBatch, Targets]]:
        """All cells once, as batches."""
        for start in range(0, len(self), batch_size):
            yield self.take(range(start, min(start + batch_size, len(self))))

    def at_once(self) -> Iterator[tuple[AtomBatch, Targets]]:
        """All cells once, as batches that a model that is not trained takes well."""
        largest = max(cell.batch.n_atoms for cell in self.cells)
        return self.in_order(max(1, VALIDATION_ATOMS // largest))


def shuffled(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of one epoch; they depend on seed and epoch only, so that a resumed run agrees.

    A short rest is spread over the batches, because a step on one left-over cell is noise.
    """
    order = np.random.default_rng([seed, epoch]).permutation(count)
    n_batches = max(1, round(count / batch_size))
    return [part.tolist() for part in np.array_split(order, n_batches)]


def sample_of(cells: list[Cell], seed: int) -> AtomBatch:
    """Some cells joined, for scales and offsets."""
    chosen = np.random.default_rng(seed).permutation(len(cells))[:ADAPT_CELLS]
    return join([cells[i].batch for i in sorted(chosen)])


def total_errors(model: Potential, cells: CellSet) -> Errors:
    """Errors over a whole set."""
    model.use_head(cells.head)
    squares, counts = torch.zeros(3).double(), torch.zeros(3).double()
    for batch, targets in cells.at_once():
        found = errors(residuals(model(batch), targets), targets)
        squares += found.squares
        counts += found.counts
    return Errors(squares=squares, counts=counts)
