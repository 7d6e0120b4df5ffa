"""deepmd-kit: se_e2_a with the settings of its water example, PyTorch backend.

The wheel's compiled operators refuse any torch but 2.11, which PyPI has with CUDA only; this model
does not use them, so they are not looked for.
"""

# ruff: noqa: E402
from __future__ import annotations

import json
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import deepmd.env
import numpy as np

deepmd.env.SHARED_LIB_DIR = Path.cwd()

from deepmd.pt.entrypoints.main import main

SYSTEMS = Path("train.deepmd")
EPOCHS: int | None = None
SETTINGS = "se_e2_a 25-50-100, 240-240-240, cutoff 6 Å"
INTERVAL = 0.005  # of the steps, between two steps of the learning rate, as in the example


def train(folder: Path, epochs: int, seed: int) -> None:
    systems = sorted(str(path.parent) for path in SYSTEMS.rglob("type.raw"))
    maps = SYSTEMS.rglob("type_map.raw")
    cells = sum(len(np.load(path)) for path in SYSTEMS.rglob("energy.npy"))
    steps = epochs * cells
    descriptor = {
        "type": "se_e2_a",
        "sel": "auto",
        "rcut_smth": 0.5,
        "rcut": 6.0,
        "neuron": [25, 50, 100],
        "axis_neuron": 16,
        "resnet_dt": False,
        "seed": seed,
    }
    settings = {
        "model": {
            "type_map": sorted({word for path in maps for word in path.read_text().split()}),
            "descriptor": descriptor,
            "fitting_net": {"neuron": [240, 240, 240], "resnet_dt": True, "seed": seed},
        },
        "learning_rate": {
            "type": "exp",
            "start_lr": 0.001,
            "stop_lr": 3.51e-8,
            "decay_steps": max(1, round(INTERVAL * steps)),
        },
        "loss": {
            "type": "ener",
            "start_pref_e": 0.02,
            "limit_pref_e": 1,
            "start_pref_f": 1000,
            "limit_pref_f": 1,
            "start_pref_v": 0,
            "limit_pref_v": 0,
        },
        "training": {
            "training_data": {"systems": systems, "batch_size": 1},
            "numb_steps": steps,
            "seed": seed,
            "disp_file": str(folder / "lcurve.out"),
            "disp_freq": max(1, steps // 100),
            "save_freq": steps,
            "save_ckpt": str(folder / "model"),
        },
    }
    path = folder / "input.json"
    path.write_text(json.dumps(settings))
    main(["train", str(path), "--output", str(folder / "out.json")])
    main(["freeze", "-c", str(folder / "model.pt"), "-o", str(folder / "frozen.pth")])


def calculator(folder: Path) -> Any:
    from deepmd.calculator import DP

    return DP(str(folder / "frozen.pth"))


def version() -> str:
    return version_of("deepmd-kit")
