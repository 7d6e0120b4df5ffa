"""Atoms and their neighbours as flat tensors, one cell or many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from ase.data import atomic_numbers
from torch import Tensor

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration

from .neighbours import Neighbourhood, find_neighbours

TOO_CLOSE = 1e-3  # Å; below, directions between atoms have no meaning


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomBatch:
    """B structures with A atoms and E pairs in all; every pair is there from both its ends.

    Pairs are grouped by atom and, within, by the species of the neighbour; Z is the number of
    species that the model knows.

    Attributes
    ----------
    vectors
        (E, 3) Å, from the atom to its neighbour.
    starts
        (A Z + 1,) int64: pairs of atom i with species z are ``starts[i Z + z : i Z + z + 1]``.
    neighbours
        (E,) int32 index of the neighbour among the A atoms.
    reverse
        (E,) int32 index of the same pair as seen from the neighbour.
    species
        (A,) int64 index into the model's elements.
    structure
        (A,) int64 index of the structure that the atom belongs to.
    volumes
        (B,) Å³ float64, 1 where the structure is not periodic in three directions.
    """

    vectors: Tensor
    starts: Tensor
    neighbours: Tensor
    reverse: Tensor
    species: Tensor
    structure: Tensor
    volumes: Tensor

    @property
    def n_atoms(self) -> int:
        return self.species.shape[0]  # not len(), which torch.export takes for a constant

    @property
    def n_structures(self) -> int:
        return self.volumes.shape[0]

    @property
    def n_species(self) -> int:
        return (self.starts.shape[0] - 1) // max(self.n_atoms, 1)

    def centres(self) -> Tensor:
        """(E,) index of the atom that each pair belongs to."""
        counts = torch.diff(self.starts[:: self.n_species])
        atoms = torch.arange(self.n_atoms, device=counts.device)
        return torch.repeat_interleave(atoms, counts, output_size=self.vectors.shape[0])

    def to(self, device: torch.device) -> AtomBatch:
        """The same on another device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return AtomBatch(**moved)


def join(batches: Sequence[AtomBatch]) -> AtomBatch:
    """One batch of several."""
    if len(batches) == 1:
        return batches[0]
    atoms = np.cumsum([0] + [b.n_atoms for b in batches]).tolist()
    pairs = np.cumsum([0] + [len(b.vectors) for b in batches]).tolist()
    structures = np.cumsum([0] + [b.n_structures for b in batches]).tolist()
    starts = [b.starts[:-1] + pair for b, pair in zip(batches, pairs[:-1], strict=True)]
    end = batches[0].starts.new_full((1,), pairs[-1])
    return AtomBatch(
        vectors=torch.cat([b.vectors for b in batches]),
        starts=torch.cat([*starts, end]),
        neighbours=torch.cat([b.neighbours + i for b, i in zip(batches, atoms, strict=False)]),
        reverse=torch.cat([b.reverse + e for b, e in zip(batches, pairs, strict=False)]),
        species=torch.cat([b.species for b in batches]),
        structure=torch.cat([b.structure + s for b, s in zip(batches, structures, strict=False)]),
        volumes=torch.cat([b.volumes for b in batches]),
    )


def groups_of(
    configurations: Sequence[Configuration], most_atoms: int
) -> Iterator[list[Configuration]]:
    """Runs of neighbours in the list with about `most_atoms` atoms each."""
    group: list[Configuration] = []
    atoms = 0
    for configuration in configurations:
        if group and atoms + configuration.n_atoms > most_atoms:
            yield group
            group, atoms = [], 0
        group.append(configuration)
        atoms += configuration.n_atoms
    if group:
        yield group


def species_of(configuration: Configuration, elements: Sequence[str]) -> np.ndarray:
    """(N,) index of each atom's element in `elements`.

    Raises
    ------
    SpecError
        An element that is not among them.
    """
    numbers = np.array([atomic_numbers[symbol] for symbol in elements])
    found = configuration.numbers[:, None] == numbers
    if not found.any(1).all():
        unknown = sorted(set(configuration.elements) - set(elements))
        raise SpecError(
            f"the model does not know {', '.join(unknown)}",
            place=configuration.id,
            remedy=f"it was trained on {', '.join(elements)}",
        )
    return found.argmax(1)


def geometry(
    configuration: Configuration, elements: Sequence[str], cutoff: float, dtype: torch.dtype
) -> tuple[AtomBatch, Neighbourhood]:
    """The batch of one configuration, and the neighbours that it was made of, in float64.

    Raises
    ------
    SpecError
        An element that the model does not know, or two atoms in one place.
    """
    species = species_of(configuration, elements)
    found = find_neighbours(configuration, cutoff, species, len(elements))
    if found.shortest < TOO_CLOSE:
        raise SpecError(
            f"two atoms are {found.shortest:.2g} Å apart",
            place=configuration.id,
            remedy="leave the configuration out",
        )
    batch = AtomBatch(
        vectors=torch.from_numpy(found.vectors).to(dtype),
        starts=torch.from_numpy(found.starts),
        neighbours=torch.from_numpy(found.neighbours),
        reverse=torch.from_numpy(found.reverse),
        species=torch.from_numpy(species),
        structure=torch.zeros(configuration.n_atoms, dtype=torch.int64),
        volumes=torch.tensor(
            [configuration.volume if all(configuration.pbc) else 1.0], dtype=torch.float64
        ),
    )
    return batch, found
