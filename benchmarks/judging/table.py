"""Verdicts and rows as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .marks import Verdict


def show_verdicts(title: str, found: Sequence[Verdict]) -> None:
    """One line per mark: the numbers of every potential, what was to be reached, the verdict.

    The error is the largest of all potentials; the spread is the largest number less the smallest.
    """
    table = Table(title=title, box=box.SIMPLE)
    several = len(found[0].marks) > 1
    statistics = ("mean", "spread") if several else ()
    columns = ("mark", "unit", "found", *statistics, "truth", "error", "limit", "published", "")
    for column in columns:
        table.add_column(column, justify="left" if column in ("mark", "unit", "") else "right")
    for verdict in found:
        mark = verdict.marks[0]
        numbers = verdict.document()
        words = {True: "passed", False: "missed", None: ""}
        table.add_row(
            mark.name,
            mark.unit,
            "  ".join(number(one.value) for one in verdict.marks),
            *(number(numbers[key]) for key in statistics),
            number(mark.truth),
            "" if mark.error is None else number(max(numbers["judged"])),
            number(mark.limit),
            number(mark.published),
            words[verdict.passed],
        )
    _print(table)


def show_rows(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Plain rows with equal keys."""
    table = Table(title=title, box=box.SIMPLE)
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(number(v) if isinstance(v, float) else str(v) for v in row.values()))
    _print(table)


def _print(table: Table) -> None:
    """In full, however narrow the terminal: numbers that are cut off are of no use."""
    console = Console()
    needed = console.measure(table, options=console.options.update(max_width=1_000)).maximum
    Console(width=max(console.width, needed)).print(table)


def number(value: float | None) -> str:
    """Four digits."""
    return "" if value is None else f"{value:.4g}"
