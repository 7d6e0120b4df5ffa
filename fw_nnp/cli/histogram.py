"""Histograms in the terminal: bars of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

BINS = 20
WIDTH = 50
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def histogram(values: Iterable[Any]) -> list[tuple[str, int]]:
    """(name of the bin, count): equal bins for numbers, one per value for texts."""
    kept = list(values)
    if not kept:
        return []
    if not isinstance(kept[0], (int, float)):
        flat = [v for value in kept for v in (value if isinstance(value, list) else [value])]
        return [(str(name), n) for name, n in Counter(flat).most_common()]
    numbers = np.array(kept, dtype=float)
    counts, edges = np.histogram(numbers, bins=1 if np.ptp(numbers) == 0 else BINS)
    names = [f"{low:.4g} … {high:.4g}" for low, high in pairwise(edges)]
    return list(zip(names, counts.tolist(), strict=True))


def bars(rows: list[tuple[str, int]], unit: str = "") -> str:
    """The rows as lines with a bar each; the longest bar is the largest count."""
    most = max((count for _, count in rows), default=0)
    name = max((len(name) for name, _ in rows), default=0)
    number = len(str(most))
    lines = [
        f"{label:>{name}}  {count:>{number}}  {_bar(count / most if most else 0.0)}".rstrip()
        for label, count in rows
    ]
    return "\n".join([*lines, *([f"{unit:>{name}}"] if unit else [])])


def _bar(fraction: float) -> str:
    eighths = round(8 * WIDTH * fraction)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
