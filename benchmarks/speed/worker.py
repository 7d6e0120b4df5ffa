"""A package under test: a process of its own, which makes steps when asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from peers.install import python_of

BENCHMARKS = Path(__file__).parents[1]
START_LIMIT = 1800.0  # s, for import, model, compilation and one step
TURN_LIMIT = 600.0  # s
WAIT_POLICY = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
"""Of OpenMP's idle threads. By default they wait by spinning, which on a machine with anything else
to do takes the cores from the threads that work: up to 20 times slower, and chance decides whom it
hits."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "DP_INTRA_OP_PARALLELISM_THREADS",
    "TF_INTRA_OP_PARALLELISM_THREADS",
)


@dataclass(frozen=True)
class Contestant:
    """A package and what it is asked to do.

    Attributes
    ----------
    name
        In the table.
    module
        In benchmarks/peers.
    task
        Function of the module: ``training``, ``inference`` or ``ase``.
    environment
        Folder of its environment; None for the one that runs the benchmark.
    """

    name: str
    module: str
    task: str
    environment: str | None


class Turn(NamedTuple):
    """Medians over some steps: by the clock, and processor time over all threads.

    Others on the machine stretch the first and hardly the second.
    """

    seconds: float
    core_seconds: float


class WorkerError(Exception):
    """The package is absent or has failed; the text says which."""


class Worker:
    """A running contestant. `about` is what it said of itself, `start_s` how long that took.

    Raises
    ------
    WorkerError
        Not installed, failed or too slow to start.
    """

    def __init__(
        self, contestant: Contestant, cells: Path, *, threads: int, environments: Path
    ) -> None:
        self.contestant = contestant
        python = Path(sys.executable)
        if contestant.environment is not None:
            python = python_of(contestant.environment, environments)
        if not python.exists():
            raise WorkerError("not installed")
        folder = cells.parent / contestant.name
        folder.mkdir()
        self.log = folder / "log"
        start = time.perf_counter()
        with self.log.open("w") as log:
            self.child = subprocess.Popen(
                [str(python), "-m", "peers", contestant.module, contestant.task, str(cells)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder,
                env=environment(contestant, threads),
                preexec_fn=lambda: bind(threads),
            )
        self.about = self._answer(START_LIMIT)
        self.start_s = time.perf_counter() - start
        self.memory_mb = 0.0

    def steps(self, count: int) -> Turn:
        """Make `count` steps."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"steps": count}) + "\n")
        self.child.stdin.flush()
        answer = self._answer(TURN_LIMIT)
        self.memory_mb = answer["memory_mb"]
        return Turn(median(answer["seconds"]), median(answer["core_seconds"]))

    def close(self) -> None:
        """End it."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()

    def _answer(self, limit: float) -> dict[str, Any]:
        assert self.child.stdout is not None
        timer = threading.Timer(limit, self.child.kill)
        timer.start()
        line = self.child.stdout.readline()
        timer.cancel()
        if line:
            return json.loads(line)
        code = self.child.wait()
        self.close()
        if code < 0:
            raise WorkerError(f"ended by signal {-code} (the limit is {limit:.0f} s)")
        last = self.log.read_text().strip().splitlines()
        raise WorkerError(f"failed: {last[-1] if last else 'without a word'}")


def environment(contestant: Contestant, threads: int) -> dict[str, str]:
    """Of the child: same threads for all, nothing of ours on the path of others."""
    path = [str(BENCHMARKS)]
    if contestant.environment is None:
        path.append(str(BENCHMARKS.parent))
    own = {"PYTHONPATH": os.pathsep.join(path), "CUDA_VISIBLE_DEVICES": ""}
    return os.environ | thread_variables(threads) | own


def thread_variables(threads: int) -> dict[str, str]:
    """What must be in the environment before a package that has threads is imported."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"OMP_WAIT_POLICY": WAIT_POLICY}


def bind(threads: int) -> None:
    """Confine the process to as many cores as it may have threads, where the system can.

    XLA and others make one thread per core, whatever the variables say.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
