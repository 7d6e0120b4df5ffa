"""The paper's claims (3) and (4) as a table: what stress terms and a second stage are worth.

Trained on nickel cells with the labels of the EAM: on energies, on energies and forces, and with
stress; each in one stage and in two of the same total length. In the second stage the first and the
last layer are frozen, as in the paper, and the learning rate is a tenth. Validation cells are never
trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .marks import Mark
from .nickel import Truth
from .nickel import judge as judge_nickel
from .training import Parts, default_stage, train

LOSSES: dict[str, dict[str, float]] = {
    "E": {"forces": 0.0, "stress": 0.0},
    "E+F": {"stress": 0.0},
    "E+F+S": {},
}
SECOND = {"learning_rate": 3e-4, "start_from": "train", "freeze": ["radial.*", "network.*.2.*"]}
SHOWN = (
    "elastic, mean error",
    "spread of C11, 0.1-2 %",
    "energy, 300 K",
    "force, 300 K",
    "stress, 300 K",
    "force, liquid 2200 K",
)


def rows(
    parts: Parts, truth: Truth, directory: Path, seed: int, seconds: float
) -> list[dict[str, Any]]:
    """One row per loss and number of stages."""
    table = []
    for loss, weights in LOSSES.items():
        whole = default_stage(f"{seconds} s", None, weights=weights)
        half = default_stage(f"{seconds / 2} s", None, weights=weights)
        second = default_stage(f"{seconds / 2} s", None, weights=weights, **SECOND)
        second = second.model_copy(update={"name": "second"})
        home = directory / loss
        one = train(whole, parts, home / "one", seed).model_path
        first = train(half, parts, home / "first", seed).model_path
        two = train(second, parts, home / "second", seed, start_from=first).model_path
        for stages, model in ((1, one), (2, two)):
            marks = {mark.name: mark for mark in judge_nickel(model, truth)}
            table.append({"loss": loss, "stages": stages, **_shown(marks)})
    return table


def _shown(marks: dict[str, Mark]) -> dict[str, float]:
    return {f"{name} ({marks[name].unit})": marks[name].value for name in SHOWN}
