"""The model card: what a model file says of itself, as Markdown for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .artefact import model_id, read_card
from .progress import QUANTITY_UNITS

RANGES = {
    "volume": ("volume", "Å³/atom"),
    "energy": ("energy", "eV/atom"),
    "force": ("largest force of a cell", "eV/Å"),
    "pressure": ("pressure", "GPa"),
}
LIMITS = """- It knows the elements above and no others; charges, spins and magnetism are not in it.
- It sees {cutoff:g} Å far: no dispersion or electrostatics beyond.
- Outside the ranges above it extrapolates. At short distances {close}
- Errors of properties (elastic constants, defects, melting) are not those of the table: test
  what you need."""


def model_card(path: Path) -> str:
    """The card of a model file."""
    card = read_card(path)
    training: dict[str, Any] = card["training"]
    data: dict[str, Any] = training.get("data", {})
    parts = [
        f"# {model_id(path)}\n\nA neural network potential for {', '.join(card['elements'])}.",
        _section("Architecture", _architecture(card["model"])),
        _section("Units", card["units"]),
        _section("Training", _training(training)),
        _section("Training data", _data(data)),
        _section("Ranges seen in training", _ranges(data.get("ranges", {}))),
        _section("Errors (root mean squares)", _errors(training.get("errors", {}))),
        "## Limits\n\n" + _limits(card["model"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, rows: Mapping[str, str]) -> str:
    """A heading and a table; nothing without rows."""
    if not rows:
        return ""
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([f"## {title}\n", "| | |", "| --- | --- |", *lines])


def _architecture(model: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in model.items() if value not in (None, [], {})}


def _training(training: Mapping[str, Any]) -> dict[str, str]:
    stage = training.get("stage", {})
    found = {
        "stage": stage.get("name", ""),
        "started from": _text(training.get("parent") or "random numbers"),
        "seed": _text(training.get("seed", "")),
        "best epoch": _text(training.get("best_epoch", "")),
        "complete": "yes" if training.get("complete") else "no, it was stopped before its time",
    }
    if training.get("stress_offset"):
        found["constant left out of the stress labels"] = f"{training['stress_offset']:+.3f} GPa"
    if "joined" in training:
        found["joined from"] = _text(training["joined"])
    versions = training.get("versions", {})
    return found | {f"version of {name}": version for name, version in versions.items()}


def _data(data: Mapping[str, Any]) -> dict[str, str]:
    if not data:
        return {}
    found = {"cells": _text(data["cells"]), "atoms": _text(data["atoms"])}
    found |= {f"atoms of {element}": _text(n) for element, n in data["elements"].items()}
    found |= {f"labels of {theory}": _text(n) for theory, n in data["theories"].items()}
    return found | {"sha256 of the label ids": f"`{data['labels']}`"}


def _ranges(ranges: Mapping[str, list[float]]) -> dict[str, str]:
    return {
        f"{name} ({unit})": f"{ranges[key][0]:.4g} to {ranges[key][1]:.4g}"
        for key, (name, unit) in RANGES.items()
        if key in ranges
    }


def _errors(errors: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for part in ("validation", "train"):
        for name, unit in QUANTITY_UNITS.items():
            value = errors.get(f"{part}_{name}")
            if value is not None:
                found[f"{name} ({unit}), {part}"] = f"{value:.3g}"
    return found


def _limits(model: Mapping[str, Any]) -> str:
    close = "only the empirical baseline repels." if model.get("baseline") else "nothing repels."
    if model.get("repulsion"):
        close = "a fixed ZBL repulsion takes over."
    return LIMITS.format(cutoff=model["cutoff"], close=close)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
