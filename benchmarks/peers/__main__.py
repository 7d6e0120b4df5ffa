"""A worker: ``python -m peers MODULE TASK CELLS.npz``, spoken to in lines of JSON.

It makes one step and says ``{"ready": true, ...}``. Then, for every ``{"steps": n}`` on its
standard input, it makes n steps and answers with their ``seconds`` by the clock, their
``core_seconds`` of processor time over all threads, and its ``memory_mb``. It ends with its input.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from pathlib import Path

from .work import Cells, timed


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
        times = [timed(work.step) for _ in range(json.loads(line)["steps"])]
        seconds, core_seconds = zip(*times, strict=True)
        say(seconds=seconds, core_seconds=core_seconds, memory_mb=memory_mb())


def memory_mb() -> float:
    """Largest memory that the process has had, code of the package included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


main()
