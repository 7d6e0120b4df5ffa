"""Relaxation and dynamics of many cells in one batch, against ASE one cell after the other.

    python benchmarks/many_cells.py [--model model.pt] [--cells 48] [--json]

Both use the same model in float64 and, for relaxation, the same algorithm (FIRE) to the same
largest force; the two take turns. Rattled aluminium with 4 to 32 atoms a cell.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE
from small_model import aluminium

from fw_nnp.core.atoms import from_atoms, to_atoms
from fw_nnp.core.records import Configuration
from fw_nnp.nnp import load_calculator
from fw_nnp.nnp.artefact import load_model
from fw_nnp.nnp.dynamics import Dynamics
from fw_nnp.nnp.relax import relax
from fw_nnp.nnp.surface import Surface

FMAX = 0.01
MD_STEPS = 50
TURNS = 3


def cells(count: int) -> list[Configuration]:
    """Rattled aluminium."""
    rng = np.random.default_rng(1)
    sizes = [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2)]
    found = []
    for index in range(count):
        atoms = bulk("Al", cubic=True, a=rng.uniform(3.95, 4.1)) * sizes[index % len(sizes)]
        atoms.rattle(0.1, rng=rng)
        found.append(from_atoms(atoms))
    return found


def relax_with_ase(model: Path, starts: list[Configuration]) -> list[float]:
    """Energies of the relaxed cells."""
    calculator = load_calculator(model)
    energies = []
    for start in starts:
        atoms = to_atoms(start)
        atoms.calc = calculator
        FIRE(atoms, logfile=None).run(fmax=FMAX, steps=1000)
        energies.append(atoms.get_potential_energy())
    return energies


def move_with_ase(model: Path, starts: list[Configuration]) -> None:
    """Constant energy at 300 K."""
    calculator = load_calculator(model)
    rng = np.random.default_rng(0)
    for start in starts:
        atoms = to_atoms(start)
        atoms.calc = calculator
        spread = np.sqrt(300.0 * units.kB * atoms.get_masses())[:, None]
        atoms.set_momenta(spread * rng.standard_normal((len(atoms), 3)))
        VelocityVerlet(atoms, timestep=2 * units.fs).run(MD_STEPS)


def seconds(call: Callable[[], object]) -> float:
    """Wall time."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(model: Path, count: int) -> dict[str, float]:
    """Medians of a few turns, and the ratios ASE / batch."""
    starts = cells(count)
    surface = Surface(load_model(model))

    def move() -> None:
        Dynamics(surface, starts, timestep=2.0, temperature=300.0, seeds=range(count)).run(MD_STEPS)

    apart = relax_with_ase(model, starts)
    together = [found.label.energy for found in relax(surface, starts, fmax=FMAX)]
    move()
    turns = [
        (
            seconds(lambda: relax_with_ase(model, starts)),
            seconds(lambda: relax(surface, starts, fmax=FMAX)),
            seconds(lambda: move_with_ase(model, starts)),
            seconds(move),
        )
        for _ in range(TURNS)
    ]
    ase_relax, our_relax, ase_md, our_md = np.median(turns, axis=0).tolist()
    return {
        "cells": count,
        "atoms": sum(start.n_atoms for start in starts),
        "relax_ase_s": ase_relax,
        "relax_s": our_relax,
        "relax_ratio": ase_relax / our_relax,
        "largest_energy_difference_eV": float(np.abs(np.subtract(apart, together)).max()),
        "md_ase_s": ase_md,
        "md_s": our_md,
        "md_ratio": ase_md / our_md,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cells", type=int, default=48)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.model or aluminium(30.0), options.cells)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:32s} {value:12.5g}")


if __name__ == "__main__":
    main()
