"""What the project wants of its speed, and whether a run shows it.

The goals are for 2 cores and 864 atoms in 8 cells of 108; other sizes are compared all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .contestants import OURS, OURS_ASE

US_PER_ATOM = "us_per_atom"


@dataclass(frozen=True)
class Goal:
    """A figure of one row and its limit, from above or from below."""

    text: str
    row: str
    figure: str
    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        if self.at_most is not None:
            return value <= self.at_most
        assert self.at_least is not None
        return value >= self.at_least


def times(peer: str, factor: float) -> Goal:
    """So many times faster than `peer`."""
    return Goal(f"{factor:g} x faster than {peer}", peer, "ratio", at_least=factor)


TRAINING = (
    Goal("training <= 20 µs/atom/step", OURS, US_PER_ATOM, at_most=20.0),
    times("torchnep", 4.0),
    times("torchani", 3.0),
    times("deepmd-kit", 10.0),
    times("allegro", 10.0),
    times("apax", 10.0),
    times("mace", 10.0),
    Goal("stored data <= 1.5 kB/atom", OURS, "stored_kb_per_atom", at_most=1.5),
)
INFERENCE = (
    Goal("inference <= 10 µs/atom with neighbour list", OURS, US_PER_ATOM, at_most=10.0),
    Goal("through ASE <= 25 µs/atom", OURS_ASE, US_PER_ATOM, at_most=25.0),
)


def judge(goals: Iterable[Goal], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Text, value and verdict of each goal; value and verdict are None where the row is absent."""
    by_name = {row["name"]: row for row in rows}
    judged = []
    for goal in goals:
        value = by_name.get(goal.row, {}).get(goal.figure)
        met = None if value is None else goal.met(value)
        judged.append({"goal": goal.text, "value": value, "met": met})
    return judged
