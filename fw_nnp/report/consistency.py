"""What labels claim against what their energies say, one panel per quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from . import style
from .naming import number

PANEL = 3.5  # inches


def consistency_figure(points: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw (claimed, by the energies) of each quantity, whose key names its unit."""
    with style.drawing():
        width = min(style.WIDTH, PANEL * max(len(points), 1))
        figure = Figure(figsize=(width, PANEL), layout="constrained")
        panels = figure.subplots(1, max(len(points), 1), squeeze=False)[0]
        for axes, (title, pairs) in zip(panels, points.items(), strict=False):
            claimed, found = np.array(pairs).T
            ends = [min(claimed.min(), found.min()), max(claimed.max(), found.max())]
            axes.plot(ends, ends, color=style.INK, linewidth=0.8, alpha=0.55, zorder=1)
            axes.scatter(claimed, found, s=14, alpha=0.75, linewidths=0, zorder=2)
            axes.set_title(title)
            axes.set_xlabel("as labelled")
            axes.set_ylabel("by the energies")
            rms = number(float(np.sqrt(((claimed - found) ** 2).mean())))
            axes.text(0.04, 0.95, f"RMS {rms}", transform=axes.transAxes, va="top", fontsize=9.5)
    return figure
