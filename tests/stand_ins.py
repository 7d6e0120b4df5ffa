"""Stand-ins for unit tests: beside each of them a test runs the real thing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write

from fw_nnp.core.records import Configuration, Label, LevelOfTheory
from fw_nnp.core.specs import PotentialSpec
from fw_nnp.potentials.emt import EmtPotential

SCALE = 1.5  # of the energy landscape
SHIFT = 0.3  # eV/atom


def dft_like(
    spec: PotentialSpec, *, lmp: Sequence[str], base: Path, potentials_dir: Path | None
) -> StandInDft:
    """For ``engine: stand_ins:dft_like``."""
    return StandInDft(spec.elements)


class StandInDft(EmtPotential):
    """In the place of DFT: EMT, half as stiff again and on another zero of energy."""

    @cached_property
    def theory(self) -> LevelOfTheory:
        return LevelOfTheory(code="empirical", settings={"engine": "stand-in for DFT"})

    def label(self, configurations: Sequence[Configuration], directory: Path) -> list[Label]:
        return [
            Label(
                configuration_id=soft.configuration_id,
                theory_id=self.theory.id,
                energy=SCALE * soft.energy + SHIFT * configuration.n_atoms,
                forces=SCALE * soft.forces,
                stress=SCALE * soft.stress,
            )
            for configuration, soft in zip(
                configurations, super().label(configurations, directory), strict=True
            )
        ]


def slow_dft_like(
    spec: PotentialSpec, *, lmp: Sequence[str], base: Path, potentials_dir: Path | None
) -> SlowStandInDft:
    """For ``engine: stand_ins:slow_dft_like``: takes its time, and notes every question."""
    return SlowStandInDft(spec.elements, base / "questions.txt")


class SlowStandInDft(StandInDft):
    """Slow enough to be interrupted; `notes` has a line for every label that was made."""

    def __init__(self, elements: Sequence[str], notes: Path) -> None:
        super().__init__(elements)
        self.notes = notes

    def label(self, configurations: Sequence[Configuration], directory: Path) -> list[Label]:
        labels = super().label(configurations, directory)
        for made in labels:
            time.sleep(0.15)
            with self.notes.open("a") as file:
                file.write(made.configuration_id + "\n")
        return labels


def campaign(name: str = "stand-in") -> dict[str, Any]:
    """A whole campaign on stand-ins, as plain data."""
    fast = {"batch_size": 4, "ema": 0.9}
    careful = {**fast, "learning_rate": 2e-3}
    return {
        "name": name,
        "sample": {
            "potential": {"engine": "emt", "elements": ["Al"]},
            "protocols": [
                {
                    "kind": "melt_quench",
                    "lattice_constant": 4.1,
                    "cell": "orthorhombic",
                    "repeat": [2, 2, 1],
                    "trajectories": 8,
                    "t_melt": 4500.0,
                    "t_hold": 2200.0,
                    "heat": "0.3 ps",
                    "hold": "0.4 ps",
                    "quench": "0.1 ps",
                    "timestep": "5 fs",
                    "every": "20 fs",
                },
                {"kind": "strain", "lattice_constant": 4.0, "count": 32, "strain": 0.03},
            ],
        },
        "select": {"phases": {"solid": 20, "interface": 8, "liquid": 16}},
        "relabel": {
            "theory": {
                "code": "empirical",
                "potential": {"engine": "stand_ins:dft_like", "elements": ["Al"]},
            },
            "chunk_size": 9,
            "min_yield": 0.9,
        },
        "dataset": {"fractions": [0.6, 0.2, 0.2]},
        "train": {
            "model": {"cutoff": 5.0, "hidden": [16, 16], "l_max": 2},
            "stages": [
                {"name": "pretrain", "labels": "low", "epochs": 30, **fast},
                {"name": "transfer", "start_from": "pretrain", "epochs": 60, **careful},
                {"name": "finetune", "start_from": "transfer", "epochs": 60, **careful},
            ],
        },
        "evaluate": {"element": "Al", "lattice_constant": 4.0},
    }


def write_overlapping(path: Path, element: str = "Al") -> None:
    """A file with one fine cell and one in which two atoms overlap."""
    fine = Atoms(f"{element}4", cell=[4.0] * 3, pbc=True)
    fine.set_scaled_positions([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    bad = fine.copy()
    bad.positions[1] = bad.positions[0] + np.array([0.4, 0.0, 0.0])
    write(path, [fine, bad])
