"""Cells of atoms as constant tensors, one by one and joined into batches.

A model takes a sequence of batches at once, because no pair crosses from one to another: large
cells stay where they are in memory, small ones are joined so that no operation is tiny.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration

from .neighbours import Neighbourhood

JOINED_ATOMS = 48  # as many as fit the cache of a core with their pairs
TOO_CLOSE = 1e-3  # Å; below, directions between atoms have no meaning


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomBatch:
    """B structures with A atoms in all, each atom with J neighbour slots.

    Attributes
    ----------
    pairs
        (A, C, J) one row per quantity; rows 0-2 are the vectors to the neighbours in Å, and
        models append what they need as constants (`Potential.prepare`).
    moments
        (A, ...) constants per atom that models append; (A, 0) before.
    species
        (A,) index into the model's elements.
    neighbours
        (A, J) index of the neighbour among the A atoms (the atom itself in unused slots).
    reverse
        (A, J) flat index of the same pair as seen from the neighbour.
    structure
        (A,) index of the structure that the atom belongs to.
    volumes
        (B,) Å³, 1 where the structure is not periodic in three directions.
    """

    pairs: Tensor
    moments: Tensor
    species: Tensor
    neighbours: Tensor
    reverse: Tensor
    structure: Tensor
    volumes: Tensor

    @property
    def vectors(self) -> Tensor:
        return self.pairs[:, :3]

    @property
    def n_atoms(self) -> int:
        return len(self.species)

    @property
    def n_structures(self) -> int:
        return len(self.volumes)


def join(batches: Sequence[AtomBatch], cutoff: float) -> AtomBatch:
    """One batch of several; missing slots become neighbours at the cutoff.

    All their rows but the vector are zero, which is what the radial functions are there.
    """
    if len(batches) == 1:
        return batches[0]
    first = batches[0]
    n_slots = max(batch.pairs.shape[2] for batch in batches)
    n_atoms = sum(batch.n_atoms for batch in batches)
    pairs = first.pairs.new_empty(n_atoms, first.pairs.shape[1], n_slots)
    reverse = torch.arange(n_atoms * n_slots).view(n_atoms, n_slots)
    neighbours = torch.arange(n_atoms)[:, None].repeat(1, n_slots)
    structure = torch.empty(n_atoms, dtype=torch.int64)
    start = structures = 0
    for batch in batches:
        rows = slice(start, start + batch.n_atoms)
        slots = batch.pairs.shape[2]
        pairs[rows, :, :slots] = batch.pairs
        pairs[rows, :, slots:] = 0.0
        pairs[rows, 0, slots:] = cutoff
        reverse[rows, :slots] = batch.reverse + start * n_slots
        if slots < n_slots:
            reverse[rows, :slots] += (batch.reverse // slots) * (n_slots - slots)
        neighbours[rows, :slots] = batch.neighbours + start
        structure[rows] = batch.structure + structures
        start += batch.n_atoms
        structures += batch.n_structures
    return AtomBatch(
        pairs=pairs,
        moments=torch.cat([batch.moments for batch in batches]),
        species=torch.cat([batch.species for batch in batches]),
        neighbours=neighbours,
        reverse=reverse,
        structure=structure,
        volumes=torch.cat([batch.volumes for batch in batches]),
    )


def gather(
    batches: Sequence[AtomBatch], cutoff: float, atoms: int = JOINED_ATOMS
) -> list[AtomBatch]:
    """The same structures in the same order, runs of small batches joined up to `atoms`."""
    gathered: list[AtomBatch] = []
    run: list[AtomBatch] = []
    for batch in batches:
        if run and sum(b.n_atoms for b in run) + batch.n_atoms > atoms:
            gathered.append(join(run, cutoff))
            run = []
        run.append(batch)
    return [*gathered, join(run, cutoff)]


def structures(batches: Sequence[AtomBatch]) -> Tensor:
    """Index of the structure of every atom, counted through all batches."""
    found, count = [], 0
    for batch in batches:
        found.append(batch.structure + count)
        count += batch.n_structures
    return torch.cat(found)


def geometry(
    configuration: Configuration,
    found: Neighbourhood,
    elements: Sequence[str],
    dtype: torch.dtype,
) -> AtomBatch:
    """The batch of one configuration, with the pair vectors and nothing else.

    Raises
    ------
    SpecError
        An element that the model does not know, or two atoms in one place.
    """
    unknown = sorted(set(configuration.elements) - set(elements))
    if unknown:
        raise SpecError(
            f"the model does not know {', '.join(unknown)}",
            place=configuration.id,
            remedy=f"it was trained on {', '.join(elements)}",
        )
    if found.shortest() < TOO_CLOSE:
        raise SpecError(
            f"two atoms are {found.shortest():.2g} Å apart",
            place=configuration.id,
            remedy="leave the configuration out",
        )
    index = {symbol: i for i, symbol in enumerate(elements)}
    species = torch.tensor([index[symbol] for symbol in configuration.symbols])
    return AtomBatch(
        pairs=torch.from_numpy(found.vectors).to(dtype),
        moments=torch.empty(configuration.n_atoms, 0, dtype=dtype),
        species=species,
        neighbours=torch.from_numpy(found.neighbours),
        reverse=torch.from_numpy(found.reverse),
        structure=torch.zeros(configuration.n_atoms, dtype=torch.int64),
        volumes=torch.tensor([configuration.volume if all(configuration.pbc) else 1.0]).double(),
    )
