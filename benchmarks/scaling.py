"""Cost of our model against atoms and neighbours: ``python benchmarks/scaling.py``.

Prints the numbers and draws docs/figures/scaling.png from them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from peers.work import Cells
from rich import box
from rich.console import Console
from rich.table import Table
from speed.cells import make_cells
from speed.report import machine
from speed.rounds import alternate
from speed.worker import Contestant, Worker
from vesin import NeighborList

from fw_nnp.report.style import METHOD_COLOURS, drawing, png_bytes

FIGURE = Path(__file__).parents[1] / "docs/figures/scaling.png"
ATOMS = (108, 256, 500, 864, 2048, 4000, 8788, 16384, 32000)
CUTOFFS = (4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
TASKS = ("training", "inference")
FROM = 864
"""Below so many atoms per step, what does not grow with them is seen."""


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description="Cost against atoms and neighbours.")
    parser.add_argument("--atoms", type=int, nargs="+", default=ATOMS, help="4 x cube numbers")
    parser.add_argument("--cutoffs", type=float, nargs="+", default=CUTOFFS, help="Å")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turn", type=float, default=0.5, help="seconds of each size per round")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where it is drawn")
    parser.add_argument("--json", action="store_true", help="the document, on stdout")
    asked = parser.parse_args(arguments)
    with Console(stderr=True).status("") as status:
        document = measure(asked, status.update)
    asked.figure.write_bytes(png_bytes(draw(document)))
    if asked.json:
        print(json.dumps(document, indent=2))
    else:
        show(document, Console())
    return document


def measure(asked: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """The four curves and what they grow like."""
    by_atoms = [make_cells(n, count=1, batch_size=1) for n in asked.atoms]
    by_cutoff = [make_cells(108, count=8, batch_size=8, cutoff=c) for c in asked.cutoffs]
    document: dict[str, Any] = {"benchmark": "scaling", "machine": machine(asked.threads)}
    for name, sizes in (("atoms", by_atoms), ("neighbours", by_cutoff)):
        document[name] = {
            task: points(sizes, task, asked, lambda text, n=name: say(f"{n}: {text}"))
            for task in TASKS
        }
    document["exponents"] = {
        x: {task: exponent(document[x][task], x) for task in TASKS} for x in ("atoms", "neighbours")
    }
    return document


def points(
    sizes: Sequence[Cells], task: str, asked: argparse.Namespace, say: Callable[[str], None]
) -> list[dict[str, float]]:
    """Seconds per step of every size, measured in turn."""
    workers: list[Worker] = []
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for number, cells in enumerate(sizes):
                path = Path(scratch) / f"{number}.npz"
                cells.save(path)
                contestant = Contestant(f"{task}-{number}", "ours", task, None)
                say(f"starting {task}, {len(cells) * cells.n_atoms} atoms")
                worker = Worker(contestant, path, threads=asked.threads, environments=Path())
                workers.append(worker)
            found = alternate(workers, rounds=asked.rounds, turn_s=asked.turn, say=say)
    finally:
        for worker in workers:
            worker.close()
    return [
        {
            "atoms": len(cells) * cells.n_atoms,
            "neighbours": neighbours(cells),
            "cutoff": cells.cutoff,
            "seconds": median(turn.seconds for turn in turns),
            "core_seconds": median(turn.core_seconds for turn in turns),
            "us_per_atom": 1e6 * median(t.seconds for t in turns) / (len(cells) * cells.n_atoms),
            "memory_mb": worker.memory_mb,
        }
        for cells, worker, turns in zip(sizes, workers, found.values(), strict=True)
    ]


def neighbours(cells: Cells) -> float:
    """Mean number within the cutoff."""
    finder = NeighborList(cutoff=cells.cutoff, full_list=True)
    (first,) = finder.compute(
        points=cells.positions[0], box=cells.cell[0], periodic=True, quantities="i"
    )
    return len(first) / cells.n_atoms


def exponent(curve: Sequence[dict[str, float]], x: str) -> float:
    """p of time ~ x^p, without the sizes below FROM atoms if others are enough.

    1 is proportional; less means that part of the time does not depend on x, more that the cost
    outgrows it.
    """
    large = [point for point in curve if point["atoms"] >= FROM]
    chosen = large if len(large) > 1 else curve
    values, seconds = (np.log([point[key] for point in chosen]) for key in (x, "seconds"))
    return float(np.polyfit(values, seconds, 1)[0])


# ---------------------------------------------------------------- out


def show(document: dict[str, Any], console: Console) -> None:
    """Print the curves."""
    for name in ("atoms", "neighbours"):
        table = Table("atoms", "neighbours", box=box.SIMPLE_HEAD)
        for task in TASKS:
            table.add_column(f"{task}, µs/atom", justify="right")
            table.add_column("memory, MB", justify="right")
        for pair in zip(*(document[name][task] for task in TASKS), strict=True):
            figures = [f(p) for p in pair for f in (per_atom, memory)]
            table.add_row(f"{pair[0]['atoms']:,}", f"{pair[0]['neighbours']:.0f}", *figures)
        console.print(table)
    exponents = document["exponents"]
    for task in TASKS:
        console.print(
            f"{task}: time ~ atoms^{exponents['atoms'][task]:.2f} from {FROM} atoms on, "
            f"~ neighbours^{exponents['neighbours'][task]:.2f}"
        )


def per_atom(point: dict[str, float]) -> str:
    return f"{point['us_per_atom']:.1f}"


def memory(point: dict[str, float]) -> str:
    return f"{point['memory_mb']:.0f}"


def draw(document: dict[str, Any]) -> Figure:
    """Time per step against atoms, time per atom against neighbours."""
    with drawing():
        figure = Figure(figsize=(8.6, 3.6))
        left, right = figure.subplots(1, 2)
        colours = dict(
            zip(TASKS, (METHOD_COLOURS["potential"], METHOD_COLOURS["eam"]), strict=True)
        )
        for task, colour in colours.items():
            plot(left, document["atoms"][task], "atoms", "seconds", 1e3, colour, task)
            plot(right, document["neighbours"][task], "neighbours", "us_per_atom", 1, colour, task)
        last = document["atoms"]["training"][-1]
        atoms = np.array([p["atoms"] for p in document["atoms"]["training"]])
        left.plot(
            atoms, 1e3 * last["seconds"] * atoms / last["atoms"], ":", color="0.5", label="~ atoms"
        )
        left.set(xscale="log", yscale="log", xlabel="atoms", ylabel="time per step / ms")
        left.set_title("Time against atoms")
        right.set(xlabel="neighbours per atom", ylabel="time per atom / µs")
        right.set_title("Time against neighbours")
        right.set_xlim(left=0)
        right.set_ylim(bottom=0)
        for axes in (left, right):
            axes.legend()
    return figure


def plot(
    axes: Axes,
    curve: Sequence[dict[str, float]],
    x: str,
    y: str,
    scale: float,
    colour: str,
    label: str,
) -> None:
    """One curve."""
    axes.plot(
        [point[x] for point in curve],
        [scale * point[y] for point in curve],
        "o-",
        color=colour,
        label=label,
        markersize=4,
    )


if __name__ == "__main__":
    main()
