"""What FireWorks, custodian and the store add to a chunk of pw.x calculations.

The same inputs run as one Firework of fw_nnp (FireWorks, custodian, proof, MongoDB) and in a bare
shell loop (``xargs -P``) with the same number of programs side by side, alternating, each round
with new cells. Printed: the ratio of the wall times, that of the core-seconds of Python and the
programs, which other work on the machine moves less, and the SCF steps of a cell. The start of the
worker process is in neither; mongod is a private server in a temporary folder.

    python benchmarks/relabel_overhead.py --cells 24 --rounds 2 --json
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from fireworks import Firework, FWorker, Workflow
from fireworks.core.rocket_launcher import launch_rocket

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.parsing import parse
from fw_nnp.core.records import Configuration, Frame
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.dft import make_labeler
from fw_nnp.firetasks import RelabelChunk
from fw_nnp.services import mongod
from fw_nnp.services.engines import find_programs
from fw_nnp.services.launchpad import connect, use_server
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store
from fw_nnp.workflows.submit import initialise

THEORY = {
    "code": "espresso",
    "pseudopotentials": {"Al": "Al.pbe-fwnnp.UPF"},
    "ecutwfc": "16 Ry",
    "k_spacing": 0.4,
    "k_shift": True,
    "degauss": "0.15 Ry",
    "bands": 2.5,
}


def cells(n: int, seed: int) -> list[Configuration]:
    """Rattled and strained 4-atom cells of aluminium."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        atoms = bulk("Al", "fcc", a=4.05, cubic=True)
        atoms.set_cell(atoms.cell @ (np.eye(3) + 0.02 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += 0.1 * rng.normal(size=(len(atoms), 3))
        found.append(from_atoms(atoms))
    return found


def campaign(name: str) -> CampaignSpec:
    """A campaign around one chunk; only its theory is used."""
    potential = {"engine": "emt", "elements": ["Al"]}
    strain = {"kind": "strain", "lattice_constant": 4.05, "count": 1}
    plain = {
        "name": name,
        "sample": {"potential": potential, "protocols": [strain]},
        "select": {"phases": {"solid": 1}},
        "relabel": {"theory": THEORY},
        "train": {"stages": [{"name": "train"}]},
        "evaluate": {"element": "Al", "lattice_constant": 4.05},
    }
    return parse(CampaignSpec, plain, place="benchmark")


def with_fireworks(
    asked: list[Configuration], name: str, folder: Path, pad_file: Path, side_by_side: int
) -> tuple[float, int]:
    """Wall seconds and SCF steps of one chunk as a Firework."""
    pad = connect(pad_file)
    store = Store(MongoDocuments(pad.db))
    spec = campaign(name)
    store.open_campaign(name, spec.model_dump(mode="json"), str(folder))
    frames = [Frame(configuration=c, trajectory="trj-benchmark", sampler="rattle") for c in asked]
    store.add_frames(frames, campaign=name)
    store.add_chunks(name, [[c.id for c in asked]])
    labeler = make_labeler(
        spec.relabel.theory, programs={"pw": find_programs().require("pw")}, base=folder
    )
    store.add_theory(labeler.theory)
    task = RelabelChunk(campaign=name, key="relabel-0", chunk=0)
    firework = {"stage": "relabel", "_category": name, "_add_launchpad_and_fw_id": True}
    pad.add_wf(Workflow([Firework([task], spec=firework)]))
    env = {"cores": side_by_side, "scratch": str(folder / "scratch")}
    launch = folder / name
    launch.mkdir()
    os.chdir(launch)
    started = time.monotonic()
    launch_rocket(pad, FWorker(category=name, env=env), strm_lvl="CRITICAL")
    wall = time.monotonic() - started
    made = store.count_labels({"campaign": name})
    if made != len(asked):
        reasons = [record["reason"] for record in store.quarantined({"campaign": name})]
        states = [launch["state"] for launch in pad.launches.find({}, {"state": 1})]
        raise SystemExit(
            f"{made} labels of {len(asked)}: no comparison; quarantined: {reasons}, "
            f"launches: {states}"
        )
    labels = store.labels({"campaign": name})
    return wall, sum(item.label.provenance["n_scf_steps"] for item in labels)


def bare(
    asked: list[Configuration], name: str, folder: Path, side_by_side: int
) -> tuple[float, int]:
    """Wall seconds and SCF steps of the same inputs in a shell loop."""
    pw = find_programs().require("pw")
    spec = campaign(name).relabel.theory
    labeler = make_labeler(spec, programs={"pw": pw}, base=folder)
    for configuration in asked:
        labeler.write(configuration, folder / f"{name}-bare" / configuration.id)
    line = f"cd $0 && exec {' '.join(pw)} -i pw.in > pw.out 2> pw.err"
    started = time.monotonic()
    subprocess.run(
        ["xargs", "-P", str(side_by_side), "-n", "1", "sh", "-c", line],
        input="\n".join(c.id for c in asked),
        text=True,
        cwd=folder / f"{name}-bare",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    wall = time.monotonic() - started
    said = [path.read_text() for path in (folder / f"{name}-bare").glob("*/pw.out")]
    return wall, sum(int(re.findall(r"has been achieved in\s+(\d+)", text)[-1]) for text in said)


def core_seconds() -> np.ndarray:
    """CPU seconds of this process, and of the programs that it has waited for; shape (2,)."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([usage.ru_utime + usage.ru_stime for usage in used])


def main() -> None:
    """Parse the command line, alternate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with redirect_stdout(sys.stderr):  # FireWorks logs to standard output
        result = compare(given.cells, given.rounds, given.cores)
    if given.json:
        print(json.dumps(result, indent=2))
        return
    for side, found in result["wall_s"].items():
        print(f"{side:8s} {sum(found):8.2f} s in {given.rounds} rounds of {given.cells} cells")
    print(f"ratio    {result['wall_ratio']:8.3f}   (goal: at most 1.03)")
    for side, found in result["scf_steps"].items():
        print(f"{side:8s} {found:8.2f} SCF steps per cell")
    print(f"cores    {result['core_ratio']:8.3f}   (core-seconds, Python and pw.x)")


def compare(n_cells: int, rounds: int, side_by_side: int) -> dict[str, Any]:
    """Wall times and core-seconds of both sides, alternating."""
    here = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix="relabel-overhead-"))
    pad_file = use_server(folder, mongod.start(folder))
    walls: dict[str, list[float]] = {"fw_nnp": [], "bare": []}
    cores = {"fw_nnp": np.zeros(2), "bare": np.zeros(2)}
    steps = {"fw_nnp": 0, "bare": 0}
    try:
        pad = connect(pad_file)
        initialise(pad, Store(MongoDocuments(pad.db)))
        for number in range(rounds):
            asked, name = cells(n_cells, seed=number), f"round-{number}"
            order = ["fw_nnp", "bare"] if number % 2 == 0 else ["bare", "fw_nnp"]
            for side in order:
                used = core_seconds()
                wall, made = (
                    with_fireworks(asked, name, folder, pad_file, side_by_side)
                    if side == "fw_nnp"
                    else bare(asked, name, folder, side_by_side)
                )
                walls[side].append(wall)
                steps[side] += made
                cores[side] += core_seconds() - used
    finally:
        os.chdir(here)
        mongod.stop(folder)
        shutil.rmtree(mongod.home(folder), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    ratio = sum(walls["fw_nnp"]) / sum(walls["bare"])
    return {
        "wall_ratio": round(ratio, 4),
        "core_ratio": round(float(cores["fw_nnp"].sum() / cores["bare"].sum()), 4),
        "python_core_s": {side: round(float(used[0]), 2) for side, used in cores.items()},
        "program_core_s": {side: round(float(used[1]), 2) for side, used in cores.items()},
        "scf_steps": {side: round(n / (n_cells * rounds), 2) for side, n in steps.items()},
        "cells": n_cells,
        "rounds": rounds,
        "side_by_side": side_by_side,
        "wall_s": {side: [round(wall, 2) for wall in found] for side, found in walls.items()},
        "added_s_per_label": round(
            (sum(walls["fw_nnp"]) - sum(walls["bare"])) / (n_cells * rounds), 4
        ),
    }


if __name__ == "__main__":
    main()
