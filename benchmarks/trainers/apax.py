"""apax: GM-NN with the settings of its own shortest example and defaults for the rest."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from apax.config import parse_config
from apax.md import ASECalculator
from apax.train.run import run

from .work import CUTOFF, TRAINING

EPOCHS: int | None = None
SETTINGS = f"GM-NN, cutoff {CUTOFF:g} Å"
VALIDATION = 0.1


def train(folder: Path, epochs: int, seed: int) -> None:
    count = TRAINING.read_text().count("Lattice=")
    validation = round(VALIDATION * count)
    config = {
        "n_epochs": epochs,
        "seed": seed,
        "data": {
            "directory": str(folder),
            "experiment": "apax",
            "data_path": str(TRAINING),
            "n_train": count - validation,
            "n_valid": validation,
            "batch_size": 4,
            "valid_batch_size": 4,
        },
        "model": {"name": "gmnn", "basis": {"name": "bessel", "r_max": CUTOFF}},
        "metrics": [{"name": "forces", "reductions": ["mae"]}],
        "loss": [{"name": "energy"}, {"name": "forces", "weight": 4.0}],
    }
    run(parse_config(config))


def calculator(folder: Path) -> Any:
    return ASECalculator(folder / "apax")


def version() -> str:
    return version_of("apax")
