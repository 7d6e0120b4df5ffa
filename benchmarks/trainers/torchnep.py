"""torchnep: NEP of the default size, trained as its README shows, in two stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torchnep

from .work import CUTOFF, TRAINING, element

EPOCHS: int | None = None
SETTINGS = f"NEP, default size, cutoffs {CUTOFF:g} Å, two stages"


def train(folder: Path, epochs: int, seed: int) -> None:
    lines = ["version 4", f"type 1 {element()}", f"cutoff {CUTOFF} {CUTOFF}", f"epoch {epochs}"]
    (folder / "nep.in").write_text("\n".join([*lines, "batch 4", "stage2 1"]) + "\n")
    torchnep.train_nep(
        str(folder / "nep.in"),
        str(TRAINING),
        output_dir=str(folder),
        device="cpu",
        run_seed=seed,
        valid_ratio=0.1,
        prediction_interval=0,
    )


def calculator(folder: Path) -> Any:
    from torchnep.ase_calculator import NEP

    return NEP(str(folder / "nep_best.txt"))


def version() -> str:
    return torchnep.__version__
