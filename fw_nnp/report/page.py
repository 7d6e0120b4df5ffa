"""The report page: one HTML file with everything inside it, for a browser without a network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fw_nnp.properties.errors import UNTAGGED, Errors
from fw_nnp.properties.evaluation import Evaluation

from .figures import FIGURES
from .naming import QUANTITIES, method_names, number
from .style import PHASE_COLOURS, inline_svg
from .verdict import CONSTANTS, deviations, headline, ratio_in_words, remarks

PAGE = "report.html"


def write_report(evaluation: Evaluation, directory: Path) -> Path:
    """Write ``report.html`` into `directory`, whole or not at all; return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / PAGE
    descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".report-", suffix=".html")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(render(evaluation))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def render(evaluation: Evaluation) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("fw_nnp.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["duration"] = duration
    environment.filters["minus"] = minus
    return environment.get_template("page.html.j2").render(
        e=evaluation,
        date=_date(evaluation.created),
        headline=headline(evaluation),
        remarks=remarks(evaluation),
        names=method_names(evaluation),
        tiles=_tiles(evaluation),
        error_rows=list(_error_rows(evaluation)),
        constants=CONSTANTS,
        phases=_phases(evaluation),
        property_rows=_property_rows(evaluation),
        cost_rows=_cost_rows(evaluation),
        figures=_figures(evaluation),
        theory_rows=list(flat(evaluation.theory)),
        element=_element(evaluation),
        split_by=evaluation.settings.get("dataset", {}).get("split_by", "trajectory"),
        model_path=repr(evaluation.model_path),
        setting_rows=list(flat(evaluation.settings)),
    )


def duration(seconds: float) -> str:
    """``22 ms``, ``41.2 s``, ``6 min 42 s`` or ``3.4 h``."""
    if 0 < seconds < 0.1:
        return f"{1e3 * seconds:.2g} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    return f"{seconds / 3600:,.1f} h"


def minus(text: str) -> str:
    """A printed number with the minus sign of typography."""
    return text.replace("-", "\N{MINUS SIGN}")


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted path, value) rows; empty values are left out."""
    for key, value in settings.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from flat(value, path)
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield from flat({str(i + 1): item for i, item in enumerate(value)}, path)
        elif value not in (None, "", []):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield path, text


def _date(created: str) -> str:
    return datetime.fromisoformat(created).strftime("%-d %B %Y, %H:%M")


def _phases(evaluation: Evaluation) -> list[str]:
    """The phases of the tables; frames without a tag get a row only where there are any."""
    pool = evaluation.pool.frames if evaluation.pool else {}
    found = {*pool, *evaluation.labels.by_phase}
    return [phase for phase in PHASE_COLOURS if phase != UNTAGGED or UNTAGGED in found]


def _element(evaluation: Evaluation) -> str:
    """The element that the snippet builds."""
    return str(evaluation.settings.get("evaluate", {}).get("element", "Al"))


def _figures(evaluation: Evaluation) -> dict[str, Markup]:
    drawn = {name: draw(evaluation) for name, draw in FIGURES.items() if name != "demo"}
    # Markup: matplotlib has escaped every name that the figures show.
    return {name: Markup(inline_svg(f, name)) for name, f in drawn.items() if f is not None}


def _tiles(evaluation: Evaluation) -> list[dict[str, str]]:
    """The errors at the top of the page, each beside that of the empirical potential."""
    tiles = []
    for field, _, title, unit, _ in QUANTITIES:
        ours, theirs = (_overall(evaluation, method, field) for method in ("potential", "eam"))
        if ours is not None:
            tiles.append(
                {
                    "title": title.split()[0],
                    "value": number(ours),
                    "unit": unit,
                    "other": "" if theirs is None else number(theirs),
                    "words": "" if theirs is None else ratio_in_words(ours, theirs),
                }
            )
    return tiles


def _overall(evaluation: Evaluation, method: str, field: str) -> float | None:
    errors = evaluation.test_errors.get(method)
    score = None if errors is None else getattr(errors.overall, field)
    return None if score is None else score.rmse


def _error_rows(evaluation: Evaluation) -> Iterator[tuple[str, str, Errors]]:
    """Name, kind and errors: the stages of training, the potential, the empirical one."""
    names = method_names(evaluation)
    final = evaluation.test_errors.get("potential")
    for stage, errors in evaluation.stage_errors.items():
        if errors != final:
            yield f"after stage {stage}", "stage", errors
    for method in ("potential", "eam"):
        if method in evaluation.test_errors:
            yield names[method], method, evaluation.test_errors[method]


def _property_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    names = method_names(evaluation)
    dft = evaluation.properties.get("dft")
    return [
        {
            "name": names[method],
            "method": method,
            "found": evaluation.properties[method],
            "off": deviations(evaluation.properties[method], dft)
            if dft is not None and method != "dft"
            else {},
        }
        for method in ("dft", "potential", "eam")
        if method in evaluation.properties
    ]


def _cost_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    longest = max((cost.core_s for cost in evaluation.costs.values()), default=0.0)
    return [
        {
            "stage": stage,
            "cost": cost,
            "share": 100.0 * cost.core_s / longest if longest else 0.0,
            "each": duration(cost.core_s / cost.items) if cost.items else "",
        }
        for stage, cost in evaluation.costs.items()
    ]
