"""The figures of a report, each from an `Evaluation`; None where its data are absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from fw_nnp.properties.errors import Score, Scores
from fw_nnp.properties.evaluation import Evaluation, History

from . import style
from .naming import QUANTITIES, method_names, number
from .parity import common_range, parity_axes, parity_figure, phase_keys, points_of, rmse_note
from .style import INK, METHOD_COLOURS, PHASE_COLOURS, PHASE_MARKERS

LOW_DASHES = (0, (2, 0.8))


# ---------------------------------------------------------------- errors by phase


def phase_figure(evaluation: Evaluation) -> Figure | None:
    """Root mean square errors by phase, the potential beside the empirical one."""
    methods = [m for m in ("potential", "eam") if m in evaluation.test_errors]
    groups = {m: evaluation.test_errors[m].by_phase for m in methods}
    phases = [p for p in PHASE_COLOURS if any(p in groups[m] for m in methods)]
    if not phases:
        return None
    names = method_names(evaluation)
    with style.drawing():
        figure = Figure(figsize=(style.WIDTH, 2.9))
        for axes, (score, _, title, unit, _) in zip(figure.subplots(1, 3), QUANTITIES, strict=True):
            heights = {m: [_rmse(groups[m].get(p), score) for p in phases] for m in methods}
            _bars(axes, heights, phases)
            axes.set_title(f"{title} RMSE ({unit})")
        keys = [
            Line2D([], [], color=METHOD_COLOURS[m], marker="s", linestyle="", label=names[m])
            for m in methods
        ]
        figure.legend(handles=keys, loc="outside lower center", ncols=2, handletextpad=0.1)
    return figure


def _rmse(scores: Scores | None, field: str) -> float:
    score: Score | None = getattr(scores, field) if scores is not None else None
    return float("nan") if score is None else score.rmse


def _bars(axes: Axes, heights: Mapping[str, list[float]], names: list[str]) -> None:
    """Grouped bars with their numbers on top; `heights` is method -> one height per name."""
    width = 0.8 / len(heights)
    x = np.arange(len(names))
    for i, (method, values) in enumerate(heights.items()):
        bars = axes.bar(
            x + (i - (len(heights) - 1) / 2) * width,
            values,
            width * 0.92,
            color=METHOD_COLOURS[method],
        )
        texts = ["" if np.isnan(v) else number(v) for v in values]
        axes.bar_label(bars, texts, padding=2, fontsize=7.5)
    axes.set_xticks(x, names)
    axes.margins(y=0.14)
    style.without_ticks(axes)


# ---------------------------------------------------------------- elastic constants


def elastic_figure(evaluation: Evaluation) -> Figure | None:
    """Elastic constants and bulk modulus of DFT, the potential and the empirical potential."""
    if not evaluation.properties:
        return None
    with style.drawing():
        figure = Figure(figsize=(style.WIDTH * 0.7, 3.2))
        _elastic_axes(figure.subplots(), evaluation)
    return figure


def _elastic_axes(axes: Axes, evaluation: Evaluation) -> None:
    names = method_names(evaluation)
    found = [m for m in ("dft", "potential", "eam") if m in evaluation.properties]
    heights = {
        m: [getattr(evaluation.properties[m], f) for f in ("c11", "c12", "c44", "bulk_modulus")]
        for m in found
    }
    _bars(axes, heights, ["C₁₁", "C₁₂", "C₄₄", "B"])
    keys = [
        Line2D([], [], color=METHOD_COLOURS[m], marker="s", linestyle="", label=names[m])
        for m in found
    ]
    axes.legend(handles=keys, loc="upper right", handletextpad=0.1)
    axes.set_title("Elastic constants (GPa)")


# ---------------------------------------------------------------- training


def learning_figure(evaluation: Evaluation) -> Figure | None:
    """Validation errors epoch by epoch; every stage gets the same width."""
    histories = [h for h in evaluation.histories if h.epoch]
    if not histories:
        return None
    names = method_names(evaluation)
    with style.drawing():
        figure = Figure(figsize=(style.WIDTH, 3.1))
        for axes, (field, _, title, unit, _) in zip(figure.subplots(1, 3), QUANTITIES, strict=True):
            for i, history in enumerate(histories):
                _stage_curve(axes, i, history, field)
            if "eam" in evaluation.test_errors:
                level = _rmse(evaluation.test_errors["eam"].overall, field)
                axes.axhline(level, color=METHOD_COLOURS["eam"], linewidth=1.2, linestyle="--")
            axes.set(yscale="log", xlim=(0, len(histories)))
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.set_xticks(
                np.arange(len(histories)) + 0.5,
                [f"{h.stage}\n{h.epoch[-1]} epochs" for h in histories],
                fontsize=7.5,
            )
            style.without_ticks(axes)
            axes.set_title(f"{title} ({unit})")
        figure.legend(handles=_curve_keys(names), loc="outside lower center", ncols=3)
    return figure


def _stage_curve(axes: Axes, position: int, history: History, field: str) -> None:
    if position % 2:
        axes.axvspan(position, position + 1, color=INK, alpha=0.05, linewidth=0)
    if field in history.errors:
        axes.plot(
            position + np.array(history.epoch) / history.epoch[-1],
            history.errors[field],
            color=METHOD_COLOURS["potential"],
            linewidth=1.7,
            linestyle=LOW_DASHES if history.labels == "low" else "-",
        )


def _curve_keys(names: Mapping[str, str]) -> list[Line2D]:
    colour = METHOD_COLOURS["potential"]
    return [
        Line2D([], [], color=colour, linestyle=LOW_DASHES, label=f"against {names['eam']} labels"),
        Line2D([], [], color=colour, linestyle="-", label="against DFT labels"),
        Line2D([], [], color=METHOD_COLOURS["eam"], linestyle="--", label=f"{names['eam']} itself"),
    ]


# ---------------------------------------------------------------- pool


def pool_figure(evaluation: Evaluation) -> Figure | None:
    """The sampled pool by phase, the frames that were selected for DFT outlined."""
    pool = evaluation.pool
    if pool is None or not pool.volume:
        return None
    volume, chosen = np.array(pool.volume), np.array(pool.chosen)
    phases = np.array(pool.phase)
    energy = np.array(pool.energy) - min(pool.energy)
    with style.drawing():
        figure = Figure(figsize=(style.WIDTH, 3.7))
        left, right = figure.subplots(1, 2)
        for axes, y in ((left, np.array(pool.temperature)), (right, energy)):
            for selected in (False, True):
                for phase in reversed(PHASE_COLOURS):
                    here = (phases == phase) & (chosen == selected)
                    axes.scatter(
                        volume[here],
                        y[here],
                        s=26 if selected else 7,
                        color=PHASE_COLOURS[phase],
                        marker=PHASE_MARKERS[phase],
                        alpha=0.95 if selected else 0.3,
                        edgecolors="white" if selected else "none",
                        linewidths=0.6 if selected else 0,
                        rasterized=True,
                    )
            axes.set_xlabel("volume (Å³/atom)")
        left.set_title("Temperature (K)")
        right.set_title(f"Energy above the lowest frame, {evaluation.empirical} (eV/atom)")
        keys = phase_keys(set(phases.tolist()))
        figure.legend(handles=keys, loc="outside lower center", ncols=4, handletextpad=0.1)
    return figure


# ---------------------------------------------------------------- the figure of the README


def demo_figure(evaluation: Evaluation) -> Figure | None:
    """One wide figure: force parity of the empirical potential and of the network, elasticity."""
    both = all("forces" in e.parity for e in evaluation.test_errors.values())
    if set(evaluation.test_errors) != {"potential", "eam"} or not both:
        return None
    names = method_names(evaluation)
    with style.drawing():
        figure = Figure(figsize=(13.0, 4.3))
        ratios = [1, 1, 1.45] if evaluation.properties else [1, 1]
        grid = figure.subplots(1, len(ratios), width_ratios=ratios, gridspec_kw={"wspace": 0.06})
        points = {m: points_of(evaluation, m, "forces") for m in ("eam", "potential")}
        shared = common_range(list(points.values()), "forces")
        for axes, method in zip(grid, points, strict=False):
            parity_axes(axes, points[method], shared)
            axes.set_title(f"Forces, {names[method]}")
            axes.set(xlabel="DFT (eV/Å)", ylabel="prediction (eV/Å)")
            rmse_note(axes, evaluation.test_errors[method].overall.force_meV_A, "meV/Å")
        grid[1].legend(
            handles=phase_keys(set(evaluation.test_errors["potential"].by_phase)),
            loc="lower right",
            handletextpad=0.1,
        )
        if evaluation.properties:
            _elastic_axes(grid[2], evaluation)
            grid[2].set_box_aspect(1 / ratios[2])
    return figure


FIGURES: Mapping[str, Callable[[Evaluation], Figure | None]] = {
    "parity": parity_figure,
    "phases": phase_figure,
    "elastic": elastic_figure,
    "learning": learning_figure,
    "pool": pool_figure,
    "demo": demo_figure,
}


def save_figures(evaluation: Evaluation, directory: Path) -> list[Path]:
    """Write every figure that the evaluation has data for as PNG; return the paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in FIGURES.items():
        figure = draw(evaluation)
        if figure is not None:
            path = directory / f"{name}.png"
            path.write_bytes(style.png_bytes(figure))
            paths.append(path)
    return paths
