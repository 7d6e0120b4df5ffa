"""Energies and forces of cells that move: what dynamics, relaxation and calculators call.

The neighbours come from lists with a skin, the rest from the model, its fixed terms and the
reference energies. Results are float64; the model may work in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch

from fw_nnp.core.errors import SamplingError
from fw_nnp.core.records import Configuration, FloatArray

from .batch import TOO_CLOSE, AtomBatch, species_of
from .fixed import add
from .potential import Potential, Precision, dtype_of
from .skin import Arrays, SkinList

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
        self.reference: FloatArray = model.reference_energies.double().numpy().copy()
        self._dtype = dtype_of(precision)
        self._model = deepcopy(model).set_precision(precision).eval()
        self._fixed = self._model.fixed
        self._furthest = max(self.cutoff, self._fixed.cutoff)
        self._rooms = {distance: Arrays.of(0, 0) for distance in (self.cutoff, self._furthest)}

    def pairs_of(self, configuration: Configuration) -> SkinList:
        """An empty list for the atoms of `configuration`.

        Raises
        ------
        SpecError
            An element that the model does not know.
        """
        return SkinList(
            cutoff=self._furthest,
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
        arrays, closest = self._pick(lists, self.cutoff)
        if min(closest) < TOO_CLOSE:
            worst = int(np.argmin(closest))
            raise SamplingError(
                f"two atoms are {closest[worst]:.2g} Å apart",
                place=names[worst] if names else "",
                remedy="take a smaller time step, or leave the cell out",
            )
        batch = self._batch(lists, arrays)
        with torch.no_grad():
            energies, forces, virials = self._model.evaluate(batch)
        species = batch.species.numpy()
        found = (
            energies.double().numpy() + self.reference[species],
            forces.double().numpy(),
            virials.double().numpy(),
        )
        if self._furthest > self.cutoff:
            arrays, _ = self._pick(lists, self._furthest)
        fixed = self._fixed.by_atom(species, arrays, min(closest))
        if fixed is not None:
            found = add(found, fixed)
        return Evaluation(
            energies=found[0],
            forces=found[1],
            virials=0.5 * (found[2] + found[2].transpose(0, 2, 1)),
        )

    def _pick(self, lists: Sequence[SkinList], cutoff: float) -> tuple[Arrays, list[float]]:
        """The pairs within `cutoff` (Å) in float64, and the shortest distance of every cell."""
        n_atoms = sum(len(pairs.species) for pairs in lists)
        n_rows = n_atoms * len(self.elements)
        room = self._room_for(n_rows, sum(pairs.n_pairs for pairs in lists), cutoff)
        first_atom, first_pair, closest = 0, 0, []
        for pairs in lists:
            first_pair, shortest = pairs.pick(room, cutoff, first_atom, first_pair)
            closest.append(shortest)
            first_atom += len(pairs.species)
        arrays = Arrays(
            vectors=room.vectors[:first_pair],
            starts=room.starts[: n_rows + 1],
            neighbours=room.neighbours[:first_pair],
            reverse=room.reverse[:first_pair],
        )
        return arrays, closest

    def _batch(self, lists: Sequence[SkinList], arrays: Arrays) -> AtomBatch:
        """What the model is asked about."""
        counts = [len(pairs.species) for pairs in lists]
        return AtomBatch(
            vectors=torch.from_numpy(arrays.vectors).to(self._dtype),
            starts=torch.from_numpy(arrays.starts),
            neighbours=torch.from_numpy(arrays.neighbours),
            reverse=torch.from_numpy(arrays.reverse),
            species=torch.from_numpy(np.concatenate([pairs.species for pairs in lists])),
            structure=torch.from_numpy(np.repeat(np.arange(len(lists)), counts)),
            volumes=torch.ones(len(lists), dtype=torch.float64),
        )

    def _room_for(self, n_rows: int, n_pairs: int, cutoff: float) -> Arrays:
        room = self._rooms[cutoff]
        if len(room.starts) <= n_rows or len(room.vectors) < n_pairs:
            rows = max(n_rows, len(room.starts) - 1)
            room = Arrays.of(rows, max(int(_ROOM * n_pairs), len(room.vectors)))
            self._rooms[cutoff] = room
        return room
