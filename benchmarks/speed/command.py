"""The command line that both benchmarks have."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers.install import FOLDER
from rich.console import Console

from . import report
from .cells import BATCHES, make_cells
from .goals import Goal, judge
from .rounds import alternate, rows, start
from .worker import Contestant

COUNT = 8  # cells


def run(
    benchmark: str,
    contestants: Sequence[Contestant],
    goals: Sequence[Goal],
    arguments: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Parse, time, print; returns the document that ``--json`` prints."""
    asked = parser(benchmark, contestants).parse_args(arguments)
    chosen = [contestants[0], *(c for c in contestants[1:] if wanted(c, asked.only))]
    progress = Console(stderr=True)
    with progress.status("") as status, tempfile.TemporaryDirectory() as scratch:
        document = measure(benchmark, chosen, asked, Path(scratch), status.update)
    document["goals"] = judge(goals, document["rows"])
    if asked.json:
        print(json.dumps(document, indent=2))
    else:
        report.show(document, Console(width=None if sys.stdout.isatty() else report.WIDTH))
    return document


def measure(
    benchmark: str,
    contestants: Sequence[Contestant],
    asked: argparse.Namespace,
    scratch: Path,
    say: Any,
) -> dict[str, Any]:
    """Cells, workers, rounds."""
    cells = make_cells(asked.cells, count=COUNT, batch_size=BATCHES[asked.cells])
    cells.save(scratch / "cells.npz")
    document: dict[str, Any] = {
        "benchmark": benchmark,
        "machine": report.machine(asked.threads),
        "cells": {
            "count": len(cells),
            "atoms": cells.n_atoms,
            "cutoff": cells.cutoff,
            "batch_size": cells.batch_size,
        },
        "rounds": asked.rounds,
    }
    workers, document["absent"] = start(
        contestants,
        scratch / "cells.npz",
        threads=asked.threads,
        environments=asked.folder,
        say=say,
    )
    try:
        turns = alternate(workers, rounds=asked.rounds, turn_s=asked.turn, say=say)
        document["rows"] = rows(workers, turns)
    finally:
        for worker in workers:
            worker.close()
    return document


def parser(benchmark: str, contestants: Sequence[Contestant]) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=f"{benchmark} beside other packages, on the same cells and in turn."
    )
    names = ", ".join(c.name for c in contestants[1:])
    made.add_argument(
        "--cells", type=int, choices=sorted(BATCHES), default=108, help="atoms per cell"
    )
    made.add_argument("--threads", type=int, default=os.cpu_count(), help="of every package")
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--turn", type=float, default=1.0, help="seconds of each package per round")
    made.add_argument("--only", nargs="*", metavar="NAME", help=f"beside ours: {names}")
    made.add_argument("--folder", type=Path, default=FOLDER, help="where peers/install.py put them")
    made.add_argument("--json", action="store_true", help="the document, on stdout")
    return made


def wanted(contestant: Contestant, only: Sequence[str] | None) -> bool:
    return only is None or contestant.name in only
