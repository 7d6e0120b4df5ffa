"""The potential as an ASE calculator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import voigt_stress

from .artefact import load_model, model_id
from .potential import Potential
from .prediction import predict


class NeuralNetworkCalculator(Calculator):
    """Energy, forces and stress of a trained model, in ASE's units and float64.

    Parameters
    ----------
    model
        A loaded model.
    theory_id
        Id under which results can be stored.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, model: Potential, theory_id: str) -> None:
        super().__init__()
        self.model = model
        self.theory_id = theory_id

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        (label,) = predict(self.model, [from_atoms(cast(Atoms, self.atoms))], self.theory_id)
        self.results = {
            "energy": label.energy,
            "free_energy": label.energy,
            "forces": label.forces,
        }
        if label.stress is not None:
            self.results["stress"] = voigt_stress(label.stress)


def load_calculator(path: str | Path) -> NeuralNetworkCalculator:
    """The ASE calculator of a model file."""
    return NeuralNetworkCalculator(load_model(Path(path)), model_id(Path(path)))
