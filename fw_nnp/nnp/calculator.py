"""The potential as an ASE calculator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import voigt_stress

from .artefact import load_model, model_id
from .potential import Potential, Precision
from .surface import Surface


class NeuralNetworkCalculator(Calculator):
    """Energy, forces and stress of a trained model, in ASE's units.

    Parameters
    ----------
    model
        A loaded model.
    theory_id
        Id under which results can be stored.
    precision
        Of the model's arithmetic: ``single`` for long runs, ``double`` for what needs small
        differences, such as phonons and elastic constants.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012

    def __init__(self, model: Potential, theory_id: str, precision: Precision = "double") -> None:
        super().__init__()
        self.model = model
        self.theory_id = theory_id
        self._surface = Surface(model, precision)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        mine = cast(Atoms, self.atoms)
        if {"numbers", "pbc"} & set(system_changes):
            self._pairs = self._surface.pairs_of(from_atoms(mine))
        self._pairs.update(mine.positions, mine.cell.array)
        found = self._surface.evaluate([self._pairs])
        energy = float(found.energies.sum())
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energies": found.energies,
            "forces": found.forces,
        }
        if all(mine.pbc):
            stress = found.virials.sum(axis=0) / abs(np.linalg.det(mine.cell.array))
            self.results["stress"] = voigt_stress(stress)


def load_calculator(
    path: str | Path, head: str = "", precision: Precision = "double"
) -> NeuralNetworkCalculator:
    """The ASE calculator of a model file; `head` as in `load_model`."""
    model, theory_id = load_model(Path(path), head), model_id(Path(path), head)
    return NeuralNetworkCalculator(model, theory_id, precision)
