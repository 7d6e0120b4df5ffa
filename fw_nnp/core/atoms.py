"""Between our records and ase.Atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator

from .records import Configuration, Label, voigt_stress


def from_atoms(atoms: Atoms) -> Configuration:
    """The configuration of `atoms`; calculator, velocities and constraints are left behind."""
    pbc = atoms.get_pbc()
    return Configuration(
        cell=np.asarray(atoms.get_cell()),
        positions=atoms.get_positions(),
        numbers=atoms.get_atomic_numbers(),
        pbc=(bool(pbc[0]), bool(pbc[1]), bool(pbc[2])),
    )


def to_atoms(configuration: Configuration, label: Label | None = None) -> Atoms:
    """ase.Atoms of `configuration`, with `label` as a SinglePointCalculator if given."""
    atoms = Atoms(
        numbers=configuration.numbers,
        positions=configuration.positions,
        cell=configuration.cell,
        pbc=configuration.pbc,
    )
    if label is not None:
        results: dict[str, Any] = {"energy": label.energy, "free_energy": label.energy}
        if label.forces is not None:
            results["forces"] = label.forces
        if label.stress is not None:
            results["stress"] = voigt_stress(label.stress)
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def label_from_calculator(
    configuration: Configuration, calculator: Calculator, theory_id: str
) -> Label:
    """Energy, forces and stress of `configuration` from an ASE calculator, as a label."""
    atoms = to_atoms(configuration)
    atoms.calc = calculator
    return Label(
        configuration_id=configuration.id,
        theory_id=theory_id,
        energy=atoms.get_potential_energy(force_consistent=True),
        forces=atoms.get_forces(),
        stress=atoms.get_stress(voigt=False) if all(configuration.pbc) else None,
    )
