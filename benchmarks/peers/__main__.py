"""A worker: ``python -m peers MODULE TASK CELLS.npz``, spoken to in lines of JSON.

It makes one step and says ``{"ready": true, ...}``. Then, for every ``{"steps": n}`` on its
standard input, it makes n steps and answers ``{"seconds": [...]}``, and ends with its input.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

from .work import Cells


def main() -> None:
    module, task, path = sys.argv[1:]
    # What packages print must not get between the lines of JSON.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**content: object) -> None:
        print(json.dumps(content), file=answers, flush=True)

    work = getattr(importlib.import_module(f"peers.{module}"), task)(Cells.load(Path(path)))
    work.step()
    say(
        ready=True,
        version=work.version,
        computes=work.computes,
        settings=work.settings,
        parameters=work.parameters,
        atoms_per_step=work.atoms_per_step,
        more=work.more,
    )
    for line in sys.stdin:
        seconds = [timed(work.step) for _ in range(json.loads(line)["steps"])]
        say(seconds=seconds, memory_mb=memory_mb())


def timed(step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def memory_mb() -> float:
    """Largest memory that the process has had, code of the package included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


main()
