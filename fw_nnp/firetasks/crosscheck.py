"""The same configurations at two levels of theory: what differs beyond the zero of energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fw_nnp.core.errors import LabelError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import RelabelSpec
from fw_nnp.properties.errors import Errors, compare, fit_shift
from fw_nnp.report import style
from fw_nnp.report.naming import QUANTITIES
from fw_nnp.report.parity import common_range, parity_axes, rmse_note

from .kept import Told, answers_at, evenly


@dataclass(frozen=True, kw_only=True)
class Crosscheck:
    """Differences between two levels of theory.

    Attributes
    ----------
    reference_energies
        Element -> eV per atom that was added to the second theory.
    failed
        Configurations that got no label at the second theory.
    reasons
        Why, each class and reason once.
    """

    theory: str
    compared: int
    failed: int
    reasons: tuple[str, ...]
    reference_energies: Mapping[str, float]
    differences: Errors
    figure: str

    def rows(self) -> list[dict[str, Any]]:
        """A table: root mean square and mean absolute differences."""
        found = self.differences.overall
        return [
            {"quantity": f"{title} ({unit})", "rms": score.rmse, "mean": score.mae}
            for name, _, title, unit, _ in QUANTITIES
            if (score := getattr(found, name)) is not None
        ]


def crosscheck(
    items: Sequence[LabelledConfiguration],
    second: RelabelSpec,
    *,
    base: Path,
    folder: Path,
    count: int,
    cores: int,
    told: Told | None = None,
) -> Crosscheck:
    """Label `count` of `items`, evenly spread, at the theory of `second`, and compare.

    Parameters
    ----------
    folder
        Keeps the labels of the second theory, so that a repeated check goes on; the figure.
    told
        Gets how many are answered, and of how many.

    Raises
    ------
    LabelError
        Fewer than two could be labelled.
    """
    chosen = evenly(items, count)
    found = answers_at(
        second,
        [item.configuration for item in chosen],
        base=base,
        folder=folder,
        cores=cores,
        told=told,
    )
    made = found.labels
    both = [item for item in chosen if item.configuration.id in made]
    if len(both) < 2:
        raise LabelError(
            f"only {len(both)} of {len(chosen)} configurations could be labelled: "
            f"{'; '.join(found.reasons[:3])}",
            place=str(folder),
            remedy="two at least are needed: correct the second theory, or compare more",
        )
    labels = [made[item.configuration.id] for item in both]
    shift = fit_shift(both, labels)
    differences = compare(both, labels, shift=shift)
    path = folder / "crosscheck.png"
    _figure(differences).savefig(path)
    return Crosscheck(
        theory=found.theory,
        compared=len(both),
        failed=len(chosen) - len(both),
        reasons=found.reasons,
        reference_energies=shift,
        differences=differences,
        figure=str(path),
    )


def _figure(differences: Errors) -> Figure:
    """The second theory against the first, one panel per quantity."""
    present = [q for q in QUANTITIES if q[1] in differences.parity]
    with style.drawing():
        figure = Figure(figsize=(style.WIDTH, 3.5), layout="constrained")
        panels = figure.subplots(1, len(present), squeeze=False)[0]
        for axes, (score, key, title, unit, axis_unit) in zip(panels, present, strict=True):
            points = differences.parity[key]
            parity_axes(axes, points, common_range([points], key))
            axes.set_title(title)
            axes.set_xlabel(f"first theory ({axis_unit})")
            axes.set_ylabel(f"second theory ({axis_unit})")
            rmse_note(axes, getattr(differences.overall, score), unit)
    return figure
