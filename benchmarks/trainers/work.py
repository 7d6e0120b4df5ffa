"""How long a training is to be, and what it costs; needs nothing but numpy."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TRAINING = Path("train.xyz")
"""Extended XYZ with all labels; beside it ``train_mace.xyz`` and ``train.deepmd``."""
TEST = Path("test.xyz")
"""Cells alone: nobody sees what they are judged by."""
CUTOFF = 5.0  # Å, of those that have no usual one for metals
CLEAR = 10.0  # s of processor time that a longer trial takes more than one of one epoch


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and of processor time of this process and its children."""

    wall_s: float
    core_s: float


def spent(action: Callable[[], object]) -> Spent:
    """What `action` takes."""
    clock, processor = time.perf_counter(), _processor()
    action()
    return Spent(time.perf_counter() - clock, _processor() - processor)


def epochs_within(train: Callable[[int], object], core_s: float) -> int:
    """Epochs that a training of `core_s` seconds of processor time has, its start included.

    Trials tell: one of a single epoch, and longer ones until the difference is clear.
    """
    first, epochs, longer = spent(lambda: train(1)).core_s, 1, 0.0
    while longer < first + CLEAR:
        epochs *= 2
        longer = spent(lambda n=epochs: train(n)).core_s
    epoch = (longer - first) / (epochs - 1)
    return max(2, round((core_s - first) / epoch) + 1)


def element() -> str:
    """The only one of the training cells."""
    with TRAINING.open() as file:
        next(file)
        next(file)
        return next(file).split()[0]


def command(*words: object) -> None:
    """Run a program of this environment; its output is the log of the training."""
    program = Path(sys.executable).with_name(str(words[0]))
    subprocess.run([str(program), *map(str, words[1:])], check=True)


def _processor() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(one) for one in whose]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
