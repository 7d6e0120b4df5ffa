"""What a stage of training tells: while it runs, to its checkpoint, and at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .movement import Report

QUANTITY_UNITS = {"energy": "meV/atom", "forces": "meV/Å", "stress": "GPa"}
"""Of the errors in a history."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a running stage is, for progress bars.

    `fraction` is between 0 and 1; `record` is the history's last entry.
    """

    stage: str
    epoch: int
    fraction: float
    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage of training left.

    Attributes
    ----------
    model_path
        The model with the best validation score, averaged weights.
    history
        Per epoch: epoch, seconds, learning_rate, and train_ and validation_ root mean square
        errors of energy (meV/atom), forces (meV/Å), stress (GPa); None where not labelled.
    best_epoch
        Epoch of the model; 0 is the start.
    stopped_early
        Whether `stop` ended it before its time; the same call goes on.
    movement
        What moved since the model that the stage started from (`movement.movement`); empty
        where it started from none.
    stress_offset
        GPa: constant in the normal stresses of the labels that was left out, zero mostly
        (`stress_offset`).
    wall_s, core_s
        Seconds over all runs of the stage.
    """

    model_path: Path
    history: list[dict[str, Any]]
    best_epoch: int
    stopped_early: bool
    movement: Report
    stress_offset: float
    wall_s: float
    core_s: float


@dataclass(kw_only=True)
class Counters:
    """The plain numbers of a training state."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    wall_s: float = 0.0
    core_s: float = 0.0
    best_score: float = float("inf")
    best_epoch: int = 0
    asked: int = 0
    """How many of `stress_offset.ASKED_AT` are done with."""
    stress_offset: float = 0.0
    """GPa"""
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


class Clock:
    """Adds the time since the last tick to the counters."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._wall, self._core = time.monotonic(), time.process_time()

    def tick(self) -> None:
        wall, core = time.monotonic(), time.process_time()
        self._counters.wall_s += wall - self._wall
        self._counters.core_s += core - self._core
        self._wall, self._core = wall, core
