"""Relaxation with any potential that `elastic` can ask, by ASE's optimiser and cell filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from fw_nnp.core.atoms import from_atoms, to_atoms
from fw_nnp.core.errors import FwNnpError, LabelError
from fw_nnp.core.records import Configuration, voigt_stress

from .elastic import Evaluate

FORCE = 1e-3
"""eV/Å: largest force (and gradient of the cell) at the end; energies are then within 1e-5 eV."""
STEPS = 500


class EvaluateCalculator(Calculator):
    """An `Evaluate` function as an ASE calculator."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, evaluate: Evaluate) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._evaluate = evaluate

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        (label,) = self._evaluate([from_atoms(cast(Atoms, self.atoms))])
        if label.forces is None:
            raise LabelError("has no forces, which a relaxation needs", place=label.id)
        self.results = {
            "energy": label.energy,
            "free_energy": label.energy,
            "forces": label.forces,
        }
        if label.stress is not None:
            self.results["stress"] = voigt_stress(label.stress)


def relaxed(
    evaluate: Evaluate,
    configuration: Configuration,
    *,
    cell: Literal["fixed", "volume", "free"] = "fixed",
) -> tuple[Configuration, float]:
    """`configuration` at the nearest minimum, and its energy in eV.

    Parameters
    ----------
    evaluate
        Asked for one configuration at a time.
    cell
        ``fixed``: atoms only; ``volume``: atoms and volume, the shape is kept, as for a crystal
        that is a saddle point; ``free``: atoms and cell.

    Raises
    ------
    FwNnpError
        No minimum after `STEPS` steps.
    """
    atoms = to_atoms(configuration)
    atoms.calc = EvaluateCalculator(evaluate)
    moving: Any = atoms
    if cell != "fixed":
        moving = FrechetCellFilter(atoms, hydrostatic_strain=cell == "volume")
    if not BFGS(moving, logfile=None).run(fmax=FORCE, steps=STEPS):
        raise FwNnpError(
            f"not relaxed after {STEPS} steps", place=f"{configuration.id} ({cell} cell)"
        )
    return from_atoms(atoms), float(atoms.get_potential_energy())
