"""Everybody in turn, round after round, so that a busy machine is equally unkind to all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .worker import Contestant, Turn, Worker, WorkerError

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
) -> dict[str, list[Turn]]:
    """What every worker took in every round, by name.

    In each round each worker makes as many steps as take it about `turn_s`, but three at least.
    """
    counts: dict[str, int] = {}
    for worker in workers:
        counts[worker.contestant.name] = steps_for(turn_s, worker.steps(3).seconds)
    found: dict[str, list[Turn]] = {name: [] for name in counts}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for worker in workers:
            name = worker.contestant.name
            found[name].append(worker.steps(counts[name]))
    return found


def steps_for(turn_s: float, seconds: float) -> int:
    """Number of steps that fill a turn, if each takes so long."""
    return max(3, min(MOST_STEPS, round(turn_s / seconds)))


def rows(workers: Sequence[Worker], turns: dict[str, list[Turn]]) -> list[dict[str, Any]]:
    """What table and document say of each worker, in the order of the workers."""
    per_atom = {worker.contestant.name: scaled(worker, turns) for worker in workers}
    ours = per_atom[workers[0].contestant.name]
    return [
        {
            "name": worker.contestant.name,
            **{key: worker.about[key] for key in ("version", "computes", "settings")},
            "parameters": worker.about["parameters"],
            **compared(per_atom[worker.contestant.name], ours),
            "memory_mb": worker.memory_mb,
            "start_s": worker.start_s,
            **worker.about["more"],
        }
        for worker in workers
    ]


def scaled(worker: Worker, turns: dict[str, list[Turn]]) -> list[Turn]:
    """The turns of a worker in µs per atom."""
    scale = 1e6 / worker.about["atoms_per_step"]
    return [Turn(*(scale * value for value in turn)) for turn in turns[worker.contestant.name]]


def compared(theirs: Sequence[Turn], ours: Sequence[Turn]) -> dict[str, float]:
    """Median and range of some rounds, and the median of their ratios to ours.

    Ratios are taken within a round, where both have met the same machine.
    """
    clock = [turn.seconds for turn in theirs]
    pairs = list(zip(theirs, ours, strict=True))
    return {
        "us_per_atom": median(clock),
        "us_per_atom_lowest": min(clock),
        "us_per_atom_highest": max(clock),
        "ratio": median(a.seconds / b.seconds for a, b in pairs),
        "core_us_per_atom": median(turn.core_seconds for turn in theirs),
        "core_ratio": median(a.core_seconds / b.core_seconds for a, b in pairs),
    }
