"""SOAP, AdamW and L-BFGS, error after the same time: ``python benchmarks/optimizers.py``.

The default model on the nickel cells of ../shared/data (a part of them, so that it takes minutes),
validated on others. SOAP and AdamW are those of training, each at two learning rates; L-BFGS is
torch's with a strong-Wolfe line search on all cells at once, what a second-order method without
noise can do in the time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import LossWeights, ModelSpec, StageSpec
from fw_nnp.exchange import load_description, read_labelled
from fw_nnp.nnp import train_stage
from fw_nnp.nnp.artefact import build
from fw_nnp.nnp.data import CellSet, read_cell, sample_of, total_errors
from fw_nnp.nnp.loss import loss, residuals
from fw_nnp.nnp.transfer import refit_energies

ROOT = Path(__file__).parents[1]
CELLS = ROOT.parent / "shared" / "data" / "ni_eam" / "train.h5"
RATES = {"soap": (1e-3, 3e-3), "adamw": (2e-3, 5e-3)}
MODEL = ModelSpec(members=1)
ALL_AT_ONCE = 64  # cells of a batch of L-BFGS's gradient


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train with each, print the validation errors."""
    parser = argparse.ArgumentParser(description="Validation errors by optimiser.")
    parser.add_argument("--minutes", type=float, default=2.0, help="of each training")
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--json", action="store_true", help="the document, on stdout")
    asked = parser.parse_args(arguments)
    training, validation = nickel(asked.cells)
    rows = [
        {"optimiser": name, "learning rate": rate, **stage(name, rate, asked, training, validation)}
        for name, rates in RATES.items()
        for rate in rates
    ]
    rows.append({"optimiser": "lbfgs", "learning rate": None, **lbfgs(asked, training, validation)})
    document = {"benchmark": "optimizers", "cells": asked.cells, "minutes": asked.minutes}
    document["rows"] = rows
    if asked.json:
        print(json.dumps(document, indent=2))
    else:
        show(document)
    return document


def nickel(count: int) -> tuple[list[LabelledConfiguration], list[LabelledConfiguration]]:
    """`count` cells to train on and 100 others."""
    description = load_description(ROOT / "examples" / "descriptions" / "ni_eam.yaml")
    items = list(read_labelled(CELLS, description))
    order = np.random.default_rng(0).permutation(len(items))
    chosen = [items[i] for i in order[: count + 100]]
    return chosen[100:], chosen[:100]


def stage(
    name: str,
    rate: float,
    asked: argparse.Namespace,
    training: Sequence[LabelledConfiguration],
    validation: Sequence[LabelledConfiguration],
) -> dict[str, Any]:
    """A training of our own for so long."""
    spec = StageSpec.model_validate(
        {
            "name": "benchmark",
            "optimizer": name,
            "learning_rate": rate,
            "epochs": 100_000,
            "time_limit": 60.0 * asked.minutes,
        }
    )
    with tempfile.TemporaryDirectory() as directory:
        result = train_stage(spec, MODEL, training, validation, Path(directory), seed=1)
    best = result.history[result.best_epoch - 1]
    return {
        "energy": best["validation_energy"],
        "forces": best["validation_forces"],
        "stress": best["validation_stress"],
        "core_s": result.core_s,
    }


def lbfgs(
    asked: argparse.Namespace,
    training: Sequence[LabelledConfiguration],
    validation: Sequence[LabelledConfiguration],
) -> dict[str, Any]:
    """torch's L-BFGS on the loss over all cells."""
    weights = LossWeights()
    model = build(MODEL, ["Ni"], 1).train()
    cells = [read_cell(model, item, weights) for item in training]
    model.adapt(sample_of(cells, 1))
    sets = CellSet(cells), CellSet([read_cell(model, item, weights) for item in validation])
    refit_energies(model, sets[0], ALL_AT_ONCE)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=1, line_search_fn="strong_wolfe")
    started, core = time.monotonic(), time.process_time()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for batch, targets in sets[0].in_order(ALL_AT_ONCE):
            share = len(targets.energy) / len(sets[0])
            part = share * loss(residuals(model.members(batch), targets), targets, weights)
            part.backward()
            total += part.detach()
        return total

    while time.monotonic() - started < 60.0 * asked.minutes:
        optimizer.step(closure)
    with torch.no_grad():
        found = total_errors(model, sets[1]).rmse()
    return {**found, "core_s": time.process_time() - core}


def show(document: dict[str, Any]) -> None:
    """As a table."""
    table = Table(title=f"validation RMSE after {document['minutes']} minutes each")
    units = {"energy": "meV/atom", "forces": "meV/Å", "stress": "GPa"}
    for column in ("optimiser", "learning rate", *(f"{k}, {u}" for k, u in units.items())):
        table.add_column(column, justify="right")
    for row in document["rows"]:
        rate = "" if row["learning rate"] is None else f"{row['learning rate']:g}"
        table.add_row(row["optimiser"], rate, *(f"{row[k]:.3g}" for k in units))
    Console().print(table)


if __name__ == "__main__":
    main()
