"""What a package is given and what it gives back; needs nothing but numpy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np

ELEMENT = "Al"


@dataclass(frozen=True)
class Cells:
    """B labelled cells of N atoms each, all of ELEMENT.

    Attributes
    ----------
    cell, positions
        (B, 3, 3) and (B, N, 3) Å, cells as rows.
    numbers
        (N,) atomic numbers.
    energy, forces, stress
        (B,) eV, (B, N, 3) eV/Å, (B, 3, 3) eV/Å³ positive in tension.
    cutoff
        Å.
    batch_size
        Cells per training step.
    """

    cell: np.ndarray
    positions: np.ndarray
    numbers: np.ndarray
    energy: np.ndarray
    forces: np.ndarray
    stress: np.ndarray
    cutoff: float
    batch_size: int

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def n_atoms(self) -> int:
        """Atoms per cell."""
        return len(self.numbers)

    def save(self, path: Path) -> None:
        np.savez(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Cells:
        with np.load(path) as arrays:
            content = {name: arrays[name] for name in arrays.files}
        content["cutoff"] = float(content["cutoff"])
        content["batch_size"] = int(content["batch_size"])
        return cls(**content)

    def batches(self) -> list[range]:
        """The indices of the cells of each batch."""
        starts = range(0, len(self), self.batch_size)
        return [range(start, start + self.batch_size) for start in starts]

    def atoms(self) -> list:
        """As ase.Atoms with the labels attached."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        made = []
        for i in range(len(self)):
            atoms = Atoms(
                numbers=self.numbers, positions=self.positions[i], cell=self.cell[i], pbc=True
            )
            stress = self.stress[i].reshape(9)[[0, 4, 8, 5, 2, 1]]
            atoms.calc = SinglePointCalculator(
                atoms, energy=float(self.energy[i]), forces=self.forces[i], stress=stress
            )
            made.append(atoms)
        return made


@dataclass(frozen=True)
class Work:
    """Something that can be timed.

    Attributes
    ----------
    step
        One training step on one batch, or one prediction of `atoms_per_step` atoms.
    atoms_per_step
        What the time is divided by.
    version
        Of the package.
    computes
        What comes out of a step, and what other packages do and this one leaves out.
    settings
        The model in a few words.
    parameters
        Trained numbers in the model; None where it has none.
    more
        Further figures for the document.
    """

    step: Callable[[], object]
    atoms_per_step: int
    version: str
    computes: str
    settings: str
    parameters: int | None = None
    more: dict[str, float] = field(default_factory=dict)


def timed(step: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - clock, time.process_time() - processor


def in_turn(batches: list) -> Iterator:
    """The batches, over and over."""
    return cycle(batches)


def write_extxyz(cells: Cells, path: Path) -> None:
    """The cells and their labels as extended XYZ, for packages that read files."""
    with path.open("w") as file:
        for i in range(len(cells)):
            lattice = " ".join(f"{x:.8f}" for x in cells.cell[i].ravel())
            stress = " ".join(f"{x:.8e}" for x in cells.stress[i].ravel())
            file.write(
                f'{cells.n_atoms}\nLattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 '
                f'energy={cells.energy[i]:.8f} stress="{stress}" pbc="T T T"\n'
            )
            for position, force in zip(cells.positions[i], cells.forces[i], strict=True):
                numbers = " ".join(f"{x:.8f}" for x in [*position, *force])
                file.write(f"{ELEMENT} {numbers}\n")


def ase_work(calculators: list, cells: Cells, **words: object) -> Work:
    """Energy, forces and stress of every cell through its own ASE calculator, one by one.

    The atoms move a little before each call, so that nothing is remembered from the last one.
    """
    everything = cells.atoms()
    for atoms, calculator in zip(everything, calculators, strict=True):
        atoms.calc = calculator
    shift = in_turn([1e-3, -1e-3])

    def step() -> None:
        move = next(shift)
        for atoms in everything:
            atoms.positions[0, 0] += move
            atoms.get_potential_energy()
            atoms.get_forces()
            atoms.get_stress()

    return Work(step=step, atoms_per_step=len(cells) * cells.n_atoms, **words)  # type: ignore[arg-type]
