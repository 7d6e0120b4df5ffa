"""The terms of a model that training leaves as they are: ZBL repulsion and an EAM baseline.

Training takes them off the labels; prediction adds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from fw_nnp.core.records import FloatArray, IntArray
from fw_nnp.core.specs import AnyModelSpec
from fw_nnp.potentials.setfl import Setfl

from .eam import Eam, Terms
from .neighbours import Pairs
from .repulsion import reach, repulsion_by_atom


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """What is known before the network speaks: energy eV, forces (N, 3), virial (3, 3) eV."""

    energy: float
    forces: FloatArray
    virial: FloatArray


class FixedTerms:
    """The fixed terms of one model.

    Parameters
    ----------
    spec, elements
        Of the model.
    tables
        Of the baseline that `spec` names.

    Attributes
    ----------
    cutoff
        Å; it may be beyond that of the network.
    """

    def __init__(self, spec: AnyModelSpec, elements: Sequence[str], tables: Setfl | None) -> None:
        self._numbers = np.array([atomic_numbers[symbol] for symbol in elements])
        self._reach = reach(self._numbers) if spec.repulsion else 0.0
        self.eam = None if tables is None else Eam(tables, elements)
        self.cutoff = max(self._reach, self.eam.cutoff if self.eam else 0.0)

    def by_atom(self, species: IntArray, pairs: Pairs, shortest: float) -> Terms | None:
        """What each of the (N,) atoms has; None where no term speaks.

        Parameters
        ----------
        pairs
            All that are closer than `cutoff`, or more.
        shortest
            Å, of all distances.
        """
        found = None if self.eam is None else self.eam.by_atom(species, pairs)
        if shortest >= self._reach:
            return found
        numbers, centres = self._numbers[species], pairs.neighbours[pairs.reverse]
        added = repulsion_by_atom(
            numbers, pairs.vectors, centres.astype(np.int64), pairs.neighbours
        )
        return added if found is None else add(found, added)

    def of_cell(self, species: IntArray, pairs: Pairs, shortest: float) -> Baseline:
        """The same of one cell."""
        found = self.by_atom(species, pairs, shortest)
        if found is None:
            n = len(species)
            return Baseline(energy=0.0, forces=np.zeros((n, 3)), virial=np.zeros((3, 3)))
        energies, forces, virials = found
        return Baseline(energy=float(energies.sum()), forces=forces, virial=virials.sum(axis=0))


def add(a: Terms, b: Terms) -> Terms:
    """Both together."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
