"""Core-seconds that a chunk of pw.x calculations loses when its worker is told to stop.

The same cells run without a stop and with one: the signal comes in the middle, pw.x saves its
state, and the chunk goes on from it, as the next Firework does. Printed, for SIGTERM and for
SIGUSR1: core-seconds of the programs more than without the stop, the median of the rounds.

    python benchmarks/interruption.py --rounds 3 --json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import Configuration, Label
from fw_nnp.core.specs import EspressoSpec
from fw_nnp.dft import Labeler, make_labeler, relabel_many
from fw_nnp.firetasks.stopping import REQUESTED, stoppable
from fw_nnp.services.engines import find_programs

THEORY = {
    "code": "espresso",
    "pseudopotentials": {"Al": "Al.pbe-fwnnp.UPF"},
    "ecutwfc": "16 Ry",
    "k_spacing": 0.35,
    "k_shift": True,
    "degauss": "0.15 Ry",
    "bands": 2.5,
}
SIGNALS = ("SIGTERM", "SIGUSR1")


def cells(n: int, seed: int) -> list[Configuration]:
    """Rattled cubic cells of aluminium."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        atoms = bulk("Al", "fcc", a=4.05, cubic=True)
        atoms.positions += 0.1 * rng.normal(size=(4, 3))
        found.append(from_atoms(atoms))
    return found


class Chunk:
    """One chunk on its scratch folder, run in one go or in parts.

    Attributes
    ----------
    core_s
        CPU seconds of the programs so far.
    """

    def __init__(self, asked: list[Configuration], labeler: Labeler, scratch: Path, cores: int):
        self.todo = {c.id: c for c in asked}
        self.labeler, self.scratch, self.cores = labeler, scratch, cores
        self.core_s = 0.0

    def run(self, number: int | None = None, after: float = 0.0) -> float:
        """Run what is left; a signal `number` comes `after` so many seconds. Returns the wall."""
        timer = threading.Timer(after, os.kill, (os.getpid(), number))
        began, used = time.monotonic(), _children()
        with stoppable(polled=True) as stop:
            if number is not None:
                timer.start()
            outcomes = relabel_many(
                list(self.todo.values()),
                self.labeler,
                self.scratch,
                side_by_side=self.cores,
                max_attempts=1,
                stop=stop,
            )
            for outcome in outcomes:
                if not isinstance(outcome, Label):
                    raise SystemExit(f"no label: {outcome.reason}")
                del self.todo[outcome.configuration_id]
        timer.cancel()
        REQUESTED.clear()
        self.core_s += _children() - used
        return time.monotonic() - began


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, rounds: int, cores: int, folder: Path) -> dict[str, float | int]:
    """Core-seconds that a stop by the signal `name` loses."""
    labeler = make_labeler(
        EspressoSpec.model_validate(THEORY),
        programs={"pw": find_programs().require("pw")},
        base=folder,
    )
    lost, whole = [], []
    for number in range(rounds):
        asked = cells(cores, seed=number)
        place = folder / f"{name}-{number}"
        plain = Chunk(asked, labeler, place / "plain", cores)
        wall = plain.run()
        stopped = Chunk(asked, labeler, place / "stopped", cores)
        stopped.run(getattr(signal, name), after=0.6 * wall)
        if not stopped.todo:
            raise SystemExit("it ended before the signal came")
        stopped.run()
        lost.append(stopped.core_s - plain.core_s)
        whole.append(plain.core_s)
    return {
        "lost_core_s": round(statistics.median(lost), 3),
        "core_s_without": round(statistics.median(whole), 3),
        "programs_stopped": cores,
    }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="interruption-"))
    try:
        found = {name: measure(name, given.rounds, given.cores, folder) for name in SIGNALS}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, values in found.items():
        print(
            f"{name}: {values['lost_core_s']:.2f} core-seconds lost of "
            f"{values['core_s_without']:.2f}, {values['programs_stopped']} programs stopped"
        )


if __name__ == "__main__":
    main()
