"""The run as a document for machines and as tables for people."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .worker import WAIT_POLICY

WIDTH = 160
"""Columns where the output is no terminal."""
VERDICTS = {True: "met", False: "missed", None: "not measured"}


def machine(threads: int) -> dict[str, Any]:
    """What the times depend on besides the packages."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "threads": threads,
        "omp_wait_policy": WAIT_POLICY,
        "python": platform.python_version(),
    }


def processor() -> str:
    """Its model, where the system tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def show(document: dict[str, Any], console: Console) -> None:
    """Print the tables."""
    console.print(results(document))
    for absent in document["absent"]:
        console.print(f"[dim]{absent['name']}: {absent['why']}")
    console.print(goals(document["goals"]))


def results(document: dict[str, Any]) -> Table:
    cells, of = document["cells"], document["machine"]
    table = Table(
        title=(
            f"{document['benchmark']}: {cells['count']} x {cells['atoms']} Al atoms, cutoff "
            f"{cells['cutoff']:g} Å, {of['threads']} threads, median of {document['rounds']} rounds"
        ),
        caption=f"{of['processor']}, load {of['load']} at the start",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("package", no_wrap=True)
    table.add_column("what it is asked for", min_width=36)
    for heading in (
        *("µs/atom", "range", "x ours", "core µs/atom", "x ours"),
        *("parameters", "memory, MB", "start, s"),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in document["rows"]:
        table.add_row(
            f"{row['name']} {row['version']}",
            f"{row['settings']}: {row['computes']}",
            number(row["us_per_atom"]),
            f"{number(row['us_per_atom_lowest'])}-{number(row['us_per_atom_highest'])}",
            f"{row['ratio']:.2f}",
            number(row["core_us_per_atom"]),
            f"{row['core_ratio']:.2f}",
            "-" if row["parameters"] is None else f"{row['parameters']:,}",
            f"{row['memory_mb']:.0f}",
            f"{row['start_s']:.1f}",
        )
    return table


def goals(judged: Sequence[dict[str, Any]]) -> Table:
    table = Table("goal", "found", "", box=box.SIMPLE_HEAD)
    for goal in judged:
        value = "-" if goal["value"] is None else f"{goal['value']:.2f}"
        table.add_row(goal["goal"], value, VERDICTS[goal["met"]])
    return table


def number(value: float) -> str:
    """Three digits are more than a shared machine is good for."""
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
