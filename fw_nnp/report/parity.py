"""Prediction against reference, point by point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fw_nnp.properties.errors import Parity, Score
from fw_nnp.properties.evaluation import Evaluation

from . import style
from .naming import QUANTITIES, method_names, number
from .style import INK, PHASE_COLOURS, PHASE_MARKERS


def parity_figure(evaluation: Evaluation) -> Figure | None:
    """Prediction against DFT on the test split: the potential above, the empirical below."""
    methods = [m for m in ("potential", "eam") if m in evaluation.test_errors]
    present = [q for q in QUANTITIES if any(points_of(evaluation, m, q[1]) for m in methods)]
    if not present:
        return None
    names = method_names(evaluation)
    with style.drawing():
        figure = Figure(figsize=(style.WIDTH, 3.5 * len(methods)))
        grid = figure.subplots(
            len(methods), len(present), squeeze=False, gridspec_kw={"hspace": 0.08, "wspace": 0.04}
        )
        for column, (score, key, title, unit, axis_unit) in enumerate(present):
            shared = common_range([points_of(evaluation, m, key) for m in methods], key)
            for row, method in enumerate(methods):
                axes = grid[row, column]
                parity_axes(axes, points_of(evaluation, method, key), shared)
                axes.set_title(f"{title}, {names[method]}")
                axes.set_xlabel(f"DFT ({axis_unit})" if row == len(methods) - 1 else "")
                axes.set_ylabel(f"prediction ({axis_unit})")
                rmse_note(axes, getattr(evaluation.test_errors[method].overall, score), unit)
        _phase_legend(figure, evaluation)
    return figure


def points_of(evaluation: Evaluation, method: str, key: str) -> Parity | None:
    """The points of one method for ``energy``, ``forces`` or ``stress``."""
    return evaluation.test_errors[method].parity.get(key)


@dataclass(frozen=True, kw_only=True)
class Range:
    """What panels share: the value drawn as zero, and the limits of both axes about it."""

    zero: float
    limits: tuple[float, float]


def common_range(parts: list[Parity | None], key: str) -> Range:
    """The range that holds all points; energies are counted from the lowest reference."""
    present = [points for points in parts if points is not None]
    values = np.concatenate([points.reference + points.predicted for points in present])
    zero = min(min(points.reference) for points in present) if key == "energy" else 0.0
    margin = 0.06 * (np.ptp(values) or 1.0)
    return Range(
        zero=zero,
        limits=(float(values.min() - zero - margin), float(values.max() - zero + margin)),
    )


def parity_axes(axes: Axes, points: Parity | None, shared: Range) -> None:
    """The diagonal and the points, coloured by phase."""
    axes.plot(shared.limits, shared.limits, color=INK, linewidth=0.8, alpha=0.55, zorder=1)
    axes.set(xlim=shared.limits, ylim=shared.limits, box_aspect=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    if points is None:
        return
    x = np.array(points.reference) - shared.zero
    y = np.array(points.predicted) - shared.zero
    phases = np.array(points.phase)
    size = 22 if x.size < 200 else 9
    # liquid first: its scatter is the widest and would cover the others
    for phase in reversed(PHASE_COLOURS):
        here = phases == phase
        axes.scatter(
            x[here],
            y[here],
            s=size,
            marker=PHASE_MARKERS[phase],
            color=PHASE_COLOURS[phase],
            alpha=0.75,
            linewidths=0,
            rasterized=True,
            zorder=2,
        )


def rmse_note(axes: Axes, score: Score | None, unit: str) -> None:
    """The error in the corner of a panel."""
    if score is not None:
        axes.text(
            0.04,
            0.95,
            f"RMSE {number(score.rmse)} {unit}",
            transform=axes.transAxes,
            va="top",
            fontsize=9.5,
            fontweight="bold",
        )


def _phase_legend(figure: Figure, evaluation: Evaluation) -> None:
    present = {p for errors in evaluation.test_errors.values() for p in errors.by_phase}
    figure.legend(
        handles=phase_keys(present), loc="outside lower center", ncols=4, handletextpad=0.1
    )


def phase_keys(phases: set[str]) -> list[Line2D]:
    """Legend entries of the phases that occur."""
    return [
        Line2D([], [], color=colour, marker=PHASE_MARKERS[phase], linestyle="", label=phase)
        for phase, colour in PHASE_COLOURS.items()
        if phase in phases
    ]
