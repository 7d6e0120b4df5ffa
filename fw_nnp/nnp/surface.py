"""Energies and forces of cells that move: what dynamics, relaxation and calculators call.

The neighbours come from lists with a skin, the rest from the model, the repulsion and the
reference energies. Results are float64; the model may work in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from ase.data import atomic_numbers

from fw_nnp.core.errors import SamplingError
from fw_nnp.core.records import Configuration, FloatArray

from .batch import TOO_CLOSE, AtomBatch, species_of
from .potential import Potential
from .repulsion import reach, repulsion_by_atom
from .skin import Arrays, SkinList

Precision = Literal["single", "double"]
SKIN = 0.6  # Å; about where searching and sorting cost the same in a metal at 300 K
_ROOM = 1.1  # of arrays that must grow


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What the model says of the A atoms of a batch.

    Attributes
    ----------
    energies
        (A,) eV.
    forces
        (A, 3) eV/Å.
    virials
        (A, 3, 3) eV, symmetric; their sum over a cell is V times its stress.
    """

    energies: FloatArray
    forces: FloatArray
    virials: FloatArray


class Surface:
    """The potential energy surface of one model.

    Parameters
    ----------
    model
        A trained model; it is copied.
    precision
        Of the model's own arithmetic.
    skin
        Å, of the lists of `pairs_of`.
    """

    def __init__(
        self, model: Potential, precision: Precision = "double", skin: float = SKIN
    ) -> None:
        self.elements = model.elements
        self.cutoff = model.cutoff
        self.skin = skin
        self.reference: FloatArray = model.reference.double().numpy().copy()
        self._dtype = torch.float32 if precision == "single" else torch.float64
        self._model = deepcopy(model).to(self._dtype).eval()
        self._numbers = np.array([atomic_numbers[symbol] for symbol in self.elements])
        self._reach = reach(self._numbers) if model.spec.repulsion else 0.0
        self._room = Arrays.of(0, 0)

    def pairs_of(self, configuration: Configuration) -> SkinList:
        """An empty list for the atoms of `configuration`.

        Raises
        ------
        SpecError
            An element that the model does not know.
        """
        return SkinList(
            cutoff=self.cutoff,
            skin=self.skin,
            species=species_of(configuration, self.elements),
            n_species=len(self.elements),
            pbc=configuration.pbc,
        )

    def evaluate(self, lists: Sequence[SkinList], names: Sequence[str] = ()) -> Evaluation:
        """Energies, forces and virials of the cells that `lists` follow, in one batch.

        Raises
        ------
        SamplingError
            Two atoms in one place; `names` says in which cell.
        """
        batch, arrays, closest = self._batch(lists, names)
        with torch.no_grad():
            energies, forces, virials = self._model.evaluate(batch)
        species = batch.species.numpy()
        found = (
            energies.double().numpy() + self.reference[species],
            forces.double().numpy(),
            virials.double().numpy(),
        )
        if closest < self._reach:
            centres = arrays.neighbours[arrays.reverse].astype(np.int64)
            added = repulsion_by_atom(
                self._numbers[species], arrays.vectors, centres, arrays.neighbours
            )
            found = found[0] + added[0], found[1] + added[1], found[2] + added[2]
        return Evaluation(
            energies=found[0],
            forces=found[1],
            virials=0.5 * (found[2] + found[2].transpose(0, 2, 1)),
        )

    def _batch(
        self, lists: Sequence[SkinList], names: Sequence[str]
    ) -> tuple[AtomBatch, Arrays, float]:
        """The batch, its pairs in float64, and the shortest distance in Å."""
        counts = [len(pairs.species) for pairs in lists]
        n_atoms, n_species = sum(counts), len(self.elements)
        room = self._room_for(n_atoms * n_species, sum(pairs.n_pairs for pairs in lists))
        first_atom, first_pair, closest = 0, 0, np.inf
        for index, (pairs, count) in enumerate(zip(lists, counts, strict=True)):
            first_pair, shortest = pairs.pick(room, first_atom, first_pair)
            if shortest < TOO_CLOSE:
                raise SamplingError(
                    f"two atoms are {shortest:.2g} Å apart",
                    place=names[index] if names else "",
                    remedy="take a smaller time step, or leave the cell out",
                )
            closest = min(closest, shortest)
            first_atom += count
        arrays = Arrays(
            vectors=room.vectors[:first_pair],
            starts=room.starts[: n_atoms * n_species + 1],
            neighbours=room.neighbours[:first_pair],
            reverse=room.reverse[:first_pair],
        )
        batch = AtomBatch(
            vectors=torch.from_numpy(arrays.vectors).to(self._dtype),
            starts=torch.from_numpy(arrays.starts),
            neighbours=torch.from_numpy(arrays.neighbours),
            reverse=torch.from_numpy(arrays.reverse),
            species=torch.from_numpy(np.concatenate([pairs.species for pairs in lists])),
            structure=torch.from_numpy(np.repeat(np.arange(len(lists)), counts)),
            volumes=torch.ones(len(lists), dtype=torch.float64),
        )
        return batch, arrays, closest

    def _room_for(self, n_rows: int, n_pairs: int) -> Arrays:
        room = self._room
        if len(room.starts) <= n_rows or len(room.vectors) < n_pairs:
            rows = max(n_rows, len(room.starts) - 1)
            self._room = Arrays.of(rows, max(int(_ROOM * n_pairs), len(room.vectors)))
        return self._room
