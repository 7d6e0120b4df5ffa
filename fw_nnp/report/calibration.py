"""The figure of a committee's uncertainty: spread against error, bin by bin."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from fw_nnp.properties.calibration import Reliability

from . import style

TITLES = {
    "energy_meV_atom": ("Energy", "meV/atom"),
    "force_meV_A": ("Forces", "meV/Å"),
    "stress_GPa": ("Stress", "GPa"),
}


def calibration_figure(found: Mapping[str, Reliability]) -> Figure:
    """Root mean square error against root mean variance; on the diagonal they agree."""
    with style.drawing():
        figure = Figure(figsize=(style.WIDTH, 3.6))
        grid = figure.subplots(1, len(found), squeeze=False)[0]
        for axes, (name, reliability) in zip(grid, found.items(), strict=True):
            title, unit = TITLES[name]
            shown = [value for value in (*reliability.spread, *reliability.error) if value > 0.0]
            limits = (0.7 * min(shown), 1.4 * max(shown))
            axes.plot(limits, limits, color=style.INK, linewidth=0.8, alpha=0.6)
            scaled = [reliability.factor * value for value in reliability.spread]
            axes.plot(reliability.spread, reliability.error, "o-", color="#6d7886", label="spread")
            axes.plot(scaled, reliability.error, "o-", color="#0b8f87", label="spread × factor")
            axes.set(xscale="log", yscale="log", ylim=limits)
            axes.set_title(f"{title}: factor {reliability.factor:.2f}")
            axes.set_xlabel(f"committee spread ({unit})")
            axes.set_ylabel(f"error ({unit})")
            axes.legend(loc="upper left")
    return figure
