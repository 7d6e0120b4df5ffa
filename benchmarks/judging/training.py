"""One training with default settings, its progress on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn

from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.core.splits import split
from fw_nnp.nnp import Progress as StageProgress
from fw_nnp.nnp import StageResult, train_stage

DEFAULT_MODEL = ModelSpec()
FRACTIONS = (0.9, 0.1, 0.0)  # train, validation; the tests are other cells
SPLIT_SEED = 1  # the same split for every seed of a training
QUANTITIES = {"energy_meV_atom": "energy", "force_meV_A": "forces", "stress_GPa": "stress"}
screen = Console(stderr=True, highlight=False)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Labels to train on and to validate with, no near-duplicates across; or all to train on."""

    training: list[LabelledConfiguration]
    validation: list[LabelledConfiguration]


def parts_of(items: Sequence[LabelledConfiguration]) -> Parts:
    """Nine tenths for training, one for validation, by clusters of near-duplicates."""
    training, validation, _ = split(items, FRACTIONS, SPLIT_SEED, by="near_duplicates")
    return Parts(training=training, validation=validation)


def seeds_of(text: str) -> list[int]:
    """Seeds as the command line has them, ``1,2,3``."""
    return [int(part) for part in text.split(",")]


def default_stage(time_limit: str | None, epochs: int | None, **changes: Any) -> StageSpec:
    """The default stage; how long it takes may be given, and what an ablation changes."""
    stage: dict[str, Any] = {"name": "train", **changes}
    if time_limit is not None:
        # without a number of epochs, time alone ends the training
        stage |= {"time_limit": time_limit, "epochs": epochs or 1_000_000}
    elif epochs is not None:
        stage["epochs"] = epochs
    return StageSpec.model_validate(stage)


def train(
    stage: StageSpec,
    parts: Parts,
    directory: Path,
    seed: int,
    model: ModelSpec = DEFAULT_MODEL,
    start_from: Path | None = None,
) -> StageResult:
    """Train `model` in `directory`; where it was interrupted, it goes on."""
    columns = [*Progress.get_default_columns(), TextColumn("{task.fields[errors]}")]
    with Progress(*columns, console=screen) as bar:
        line = bar.add_task(f"{directory.name}, {stage.name}", total=1.0, errors="")

        def show(done: StageProgress) -> None:
            shown = "validation" if parts.validation else "train"
            found = [(done.record.get(f"{shown}_{key}"), unit) for unit, key in QUANTITIES.items()]
            text = "  ".join(f"{value:.3g} {unit}" for value, unit in found if value is not None)
            bar.update(line, completed=done.fraction, errors=text)

        result = train_stage(
            stage,
            model,
            parts.training,
            parts.validation,
            directory,
            seed=seed,
            start_from=start_from,
            progress=show,
        )
        bar.update(line, completed=1.0)
    return result


def training_document(result: StageResult, parts: Parts) -> dict[str, Any]:
    """What the training was and cost, as plain JSON."""
    best = next((row for row in result.history if row["epoch"] == result.best_epoch), {})
    return {
        "model": str(result.model_path),
        "training_configurations": len(parts.training),
        "validation_configurations": len(parts.validation),
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "stress_offset_GPa": result.stress_offset,
        "wall_s": result.wall_s,
        "core_s": result.core_s,
        "validation_rmse": {
            name: best.get(f"validation_{key}") for name, key in QUANTITIES.items()
        },
    }
