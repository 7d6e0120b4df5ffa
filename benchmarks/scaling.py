"""Cost of our model against atoms and neighbours: ``python benchmarks/scaling.py``.

Prints the numbers and draws docs/figures/scaling.png from them. Times are of the processor, summed
over threads: what others do on the machine meanwhile changes them little.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from peers import ours
from peers.work import Cells, timed
from rich import box
from rich.console import Console
from rich.table import Table
from speed.cells import make_cells
from speed.report import machine
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
    torch.set_num_threads(asked.threads)  # which the compiled kernels follow
    sizes = {
        "atoms": [make_cells(n, count=1, batch_size=1) for n in asked.atoms],
        "neighbours": [make_cells(108, count=8, batch_size=8, cutoff=c) for c in asked.cutoffs],
    }
    document: dict[str, Any] = {"benchmark": "scaling", "machine": machine(asked.threads)}
    for x, cells in sizes.items():
        document[x] = {}
        for task in TASKS:
            say(f"{task} against {x}")
            document[x][task] = points(cells, task, asked.rounds)
    document["exponents"] = {
        x: {task: exponent(document[x][task], x) for task in TASKS} for x in sizes
    }
    return document


def points(sizes: Sequence[Cells], task: str, rounds: int) -> list[dict[str, float]]:
    """Times of every size, measured in turn."""
    works = [getattr(ours, task)(cells) for cells in sizes]
    for work in works:
        work.step()
    times = [[timed(work.step) for work in works] for _ in range(rounds)]
    return [
        {
            "atoms": work.atoms_per_step,
            "neighbours": neighbours(cells),
            "cutoff": cells.cutoff,
            "seconds": median(seconds for seconds, _ in own),
            "core_seconds": median(core for _, core in own),
            "core_us_per_atom": 1e6 * median(core for _, core in own) / work.atoms_per_step,
        }
        for cells, work, own in zip(sizes, works, zip(*times, strict=True), strict=True)
    ]


def neighbours(cells: Cells) -> float:
    """Mean number within the cutoff."""
    finder = NeighborList(cutoff=cells.cutoff, full_list=True)
    (first,) = finder.compute(
        points=cells.positions[0], box=cells.cell[0], periodic=True, quantities="i"
    )
    return len(first) / cells.n_atoms


def exponent(curve: Sequence[dict[str, float]], x: str) -> float:
    """p of processor time ~ x^p, without the sizes below FROM atoms if others are enough.

    1 is proportional; less means that part of the time does not depend on x, more that the cost
    outgrows it.
    """
    large = [point for point in curve if point["atoms"] >= FROM]
    chosen = large if len(large) > 1 else curve
    values, times = (np.log([point[key] for point in chosen]) for key in (x, "core_seconds"))
    return float(np.polyfit(values, times, 1)[0])


# ---------------------------------------------------------------- out


def show(document: dict[str, Any], console: Console) -> None:
    """Print the curves."""
    for x in ("atoms", "neighbours"):
        table = Table("atoms", "neighbours", box=box.SIMPLE_HEAD)
        for task in TASKS:
            table.add_column(f"{task}, core µs/atom", justify="right")
        for pair in zip(*(document[x][task] for task in TASKS), strict=True):
            figures = [f"{point['core_us_per_atom']:.1f}" for point in pair]
            table.add_row(f"{pair[0]['atoms']:,}", f"{pair[0]['neighbours']:.0f}", *figures)
        console.print(table)
    exponents = document["exponents"]
    for task in TASKS:
        console.print(
            f"{task}: time ~ atoms^{exponents['atoms'][task]:.2f} from {FROM} atoms on, "
            f"~ neighbours^{exponents['neighbours'][task]:.2f}"
        )


def draw(document: dict[str, Any]) -> Figure:
    """Time per step against atoms, time per atom against neighbours."""
    with drawing():
        figure = Figure(figsize=(8.6, 3.6))
        left, right = figure.subplots(1, 2)
        colours = dict(
            zip(TASKS, (METHOD_COLOURS["potential"], METHOD_COLOURS["eam"]), strict=True)
        )
        for task, colour in colours.items():
            plot(left, document["atoms"][task], ("atoms", "core_seconds"), 1e3, colour, task)
            curve = document["neighbours"][task]
            plot(right, curve, ("neighbours", "core_us_per_atom"), 1, colour, task)
        curve = document["atoms"]["training"]
        atoms = np.array([point["atoms"] for point in curve])
        line = 1e3 * curve[-1]["core_seconds"] * atoms / atoms[-1]
        left.plot(atoms, line, ":", color="0.5", label="~ atoms")
        left.set(xscale="log", yscale="log", xlabel="atoms", ylabel="processor time per step / ms")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        left.set_title("Time against atoms")
        right.set(xlabel="neighbours per atom", ylabel="processor time per atom / µs")
        right.set_title("Time against neighbours")
        right.set_xlim(left=0)
        right.set_ylim(bottom=0)
        for axes in (left, right):
            axes.legend()
    return figure


def plot(
    axes: Axes,
    curve: Sequence[dict[str, float]],
    names: tuple[str, str],
    scale: float,
    colour: str,
    label: str,
) -> None:
    """One curve; `names` of what lies along x and y."""
    x, y = ([point[name] for point in curve] for name in names)
    axes.plot(x, [scale * v for v in y], "o-", color=colour, label=label, markersize=4)


if __name__ == "__main__":
    main()
