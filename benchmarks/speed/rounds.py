"""Everybody in turn, round after round, so that a busy machine is equally unkind to all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .worker import Contestant, Worker, WorkerError

MOST_STEPS = 50

Say = Callable[[str], None]


def start(
    contestants: Sequence[Contestant], cells: Path, *, threads: int, environments: Path, say: Say
) -> tuple[list[Worker], list[dict[str, str]]]:
    """The workers that run, started one after the other; name of the others, and why."""
    running: list[Worker] = []
    absent: list[dict[str, str]] = []
    for contestant in contestants:
        say(f"starting {contestant.name}")
        try:
            worker = Worker(contestant, cells, threads=threads, environments=environments)
        except WorkerError as error:
            absent.append({"name": contestant.name, "why": str(error)})
        else:
            running.append(worker)
    return running, absent


def alternate(
    workers: Sequence[Worker], *, rounds: int, turn_s: float, say: Say
) -> dict[str, list[float]]:
    """Median seconds per step of every round, by name.

    In each round each worker makes as many steps as take it about `turn_s`, but three at least.
    """
    counts: dict[str, int] = {}
    for worker in workers:
        counts[worker.contestant.name] = steps_for(turn_s, worker.steps(3))
    found: dict[str, list[float]] = {name: [] for name in counts}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for worker in workers:
            name = worker.contestant.name
            found[name].append(median(worker.steps(counts[name])))
    return found


def steps_for(turn_s: float, seconds: Sequence[float]) -> int:
    """Number of steps that fill a turn, if each takes as long as these did."""
    return max(3, min(MOST_STEPS, round(turn_s / median(seconds))))


def rows(workers: Sequence[Worker], seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """What table and document say of each worker, in the order of the workers."""
    per_atom = {}
    for worker in workers:
        name = worker.contestant.name
        scale = 1e6 / worker.about["atoms_per_step"]
        per_atom[name] = [scale * s for s in seconds[name]]
    first = workers[0].contestant.name
    return [
        {
            "name": worker.contestant.name,
            **{key: worker.about[key] for key in ("version", "computes", "settings")},
            "parameters": worker.about["parameters"],
            **compared(per_atom[worker.contestant.name], per_atom[first]),
            "memory_mb": worker.memory_mb,
            "start_s": worker.start_s,
            **worker.about["more"],
        }
        for worker in workers
    ]


def compared(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Median and range of some rounds, and the median of their ratios to ours.

    Ratios are taken within a round, where both have met the same machine.
    """
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {
        "us_per_atom": median(theirs),
        "us_per_atom_lowest": min(theirs),
        "us_per_atom_highest": max(theirs),
        "ratio": median(ratios),
    }
