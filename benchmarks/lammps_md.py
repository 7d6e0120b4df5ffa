"""Molecular dynamics in LAMMPS with our potential: speed, and how well energy is kept.

    python benchmarks/lammps_md.py [--model model.pt --element Al --a 4.05] [--picoseconds 10]

A crystal of 4,000 atoms at 300 K without a thermostat. The drift is the slope of the total energy
after the first picosecond; its goal is below 1 meV/atom in 100 ps. Without --model the default
model is trained for a minute first.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from small_model import aluminium

from fw_nnp.nnp.lammps_run import run_lammps

INPUT = """
units metal
atom_style atomic
lattice fcc {a}
region box block 0 {n} 0 {n} 0 {n}
create_box 1 box
create_atoms 1 box
mass 1 {mass}
pair_style fw_nnp {model} {precision}
pair_coeff * * {element}
velocity all create 600 1 mom yes dist gaussian
fix 1 all nve
timestep {timestep}
thermo_style custom step temp pe etotal cpu
thermo_modify format float %.15g
thermo 25
run {steps}
"""


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Speed in µs/atom/step; temperature in K; drift and its standard error in meV/atom/100 ps."""
    model = options.model or aluminium(60.0)
    text = INPUT.format(
        a=options.a,
        n=options.cells,
        mass=atomic_masses[atomic_numbers[options.element]],
        model=model.resolve(),
        precision=options.precision,
        element=options.element,
        timestep=options.timestep * 1e-3,
        steps=round(options.picoseconds * 1000.0 / options.timestep),
    )
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        (Path(folder) / "in.md").write_text(text)
        started = time.perf_counter()
        run_lammps(Path(folder) / "in.md", ["-screen", "none", "-log", str(log)])
        wall = time.perf_counter() - started
        rows = [line.split() for line in log.read_text().splitlines()]
    table = np.array([row for row in rows if len(row) == 5 and row[0].isdigit()], dtype=float)
    steps, temperature, _, total, cpu = table.T
    n_atoms = 4 * options.cells**3
    late = steps * options.timestep >= min(1000.0, 0.3 * steps[-1] * options.timestep)
    (slope, _), covariance = np.polyfit(
        steps[late] * options.timestep * 1e-5, 1000.0 * total[late] / n_atoms, 1, cov=True
    )
    return {
        "atoms": n_atoms,
        "picoseconds": steps[-1] * options.timestep * 1e-3,
        "us_per_atom_step": 1e6 * cpu[-1] / steps[-1] / n_atoms,
        "wall_s": wall,
        "temperature_K": float(temperature[late].mean()),
        "drift_meV_per_atom_100ps": float(slope),
        "drift_standard_error": float(covariance[0, 0] ** 0.5),
        "largest_excursion_meV_per_atom": float(np.ptp(1000.0 * total[late] / n_atoms)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--element", default="Al")
    parser.add_argument("--a", type=float, default=4.0, help="lattice constant in Å (fcc)")
    parser.add_argument("--cells", type=int, default=10, help="cubic cells along each edge")
    parser.add_argument("--picoseconds", type=float, default=10.0)
    parser.add_argument("--timestep", type=float, default=2.0, help="fs")
    parser.add_argument("--precision", choices=["single", "double"], default="single")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:32s} {value:12.5g}")


if __name__ == "__main__":
    main()
