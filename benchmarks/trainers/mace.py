"""MACE: its own trainer with stage two and averaged weights, a model small enough for a processor.

Its default scheduler waits for 50 epochs without progress before it lowers the rate; here the rate
falls evenly to a hundredth.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from .work import CUTOFF, command

EPOCHS: int | None = None
CHANNELS, DEGREE = 32, 1
SETTINGS = f"{CHANNELS} channels, max_L {DEGREE}, two layers, cutoff {CUTOFF:g} Å"
STAGE_TWO = 0.75  # of the epochs come before it


def train(folder: Path, epochs: int, seed: int) -> None:
    settings = {
        "name": "potential",
        "work_dir": folder,
        "train_file": "train_mace.xyz",
        "valid_fraction": 0.05,
        "E0s": "average",
        "model": "MACE",
        "num_channels": CHANNELS,
        "max_L": DEGREE,
        "r_max": CUTOFF,
        "batch_size": 4,
        "valid_batch_size": 4,
        "max_num_epochs": epochs,
        "start_swa": max(1, round(STAGE_TWO * epochs)),
        "scheduler": "ExponentialLR",
        "lr_scheduler_gamma": 0.01 ** (1.0 / epochs),
        "ema_decay": 0.99,
        "default_dtype": "float32",
        "device": "cpu",
        "seed": seed,
    }
    words = [f"--{name}={value}" for name, value in settings.items()]
    command("mace_run_train", *words, "--swa", "--ema")
    found = [path for path in folder.glob("*.model") if "compiled" not in path.name]
    found.sort(key=lambda path: "stagetwo" in path.name)
    shutil.copy(found[-1], folder / "found.model")


def calculator(folder: Path) -> Any:
    from mace.calculators import MACECalculator

    return MACECalculator(folder / "found.model", device="cpu", default_dtype="float32")


def version() -> str:
    return version_of("mace-torch")
