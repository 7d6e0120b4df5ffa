"""fw_nnp with default settings, as long as these say."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.exchange import read_labelled
from fw_nnp.nnp import load_calculator, train_stage

from .work import TRAINING

STAGE = StageSpec(name="train")
EPOCHS: int | None = STAGE.epochs
SETTINGS = "defaults"


def train(folder: Path, epochs: int, seed: int) -> None:
    stage = STAGE.model_copy(update={"epochs": epochs})
    train_stage(stage, ModelSpec(), list(read_labelled(TRAINING)), [], folder, seed=seed)


def calculator(folder: Path) -> Any:
    return load_calculator(folder / "model.pt")


def version() -> str:
    return version_of("fw_nnp")
