"""How many expensive labels transfer saves: ``python benchmarks/transfer.py --minutes 5``.

The nickel cells of the paper. Low fidelity are the labels of another EAM on the same cells, high
fidelity the labels in the file. A model is trained on all low labels once; then, for each number
of high labels and each recipe, one training of equal time starts from it (``scratch``: from
nothing). A fifth of the high labels choose the model; test cells train nowhere, at neither level.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from fw_nnp.core.records import Label, LabelledConfiguration
from fw_nnp.core.specs import ModelSpec, PotentialSpec, StageSpec
from fw_nnp.core.splits import split
from fw_nnp.exchange import load_description, read_labelled
from fw_nnp.nnp import StageResult, predict, train_stage
from fw_nnp.potentials import make_potential
from fw_nnp.properties.errors import compare, fit_shift
from fw_nnp.properties.evaluation import errors_json
from fw_nnp.services.engines import find_programs

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "ni_eam" / "train.h5"
DESCRIPTION = ROOT / "examples" / "descriptions" / "ni_eam.yaml"
LOW = PotentialSpec(style="eam/alloy", file="NiAlH_jea.eam.alloy", elements=["Ni"])
FOREVER = 1_000_000  # epochs; the time decides
CHUNK = 200  # cells per run of LAMMPS
MODEL = ModelSpec(members=1)  # from scratch, too: recipes are compared
QUANTITIES = ("energy_meV_atom", "force_meV_A", "stress_GPa")
RECIPES: dict[str, dict[str, Any]] = {
    "scratch": {"start_from": None},
    "full": {"learning_rate": 1e-3},
    "discriminative": {"preset": "gentle"},
    "frozen": {"preset": "paper"},
    "replay": {"learning_rate": 1e-3, "replay": {}},
}
"""What each stage has beside its name, its start and its time."""
screen = Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Label, train, judge, print; returns the document that ``--json`` prints."""
    asked = _parser().parse_args(arguments)
    torch.set_num_threads(asked.threads)
    items = list(read_labelled(asked.data, load_description(DESCRIPTION)))
    pool, _, test = split(items, (0.8, 0.0, 0.2), 1, "near_duplicates")
    low = low_labels(pool, asked.out)
    seconds = 60.0 * asked.minutes
    first = StageSpec(name="low", labels="low", epochs=FOREVER, time_limit=seconds)
    start = train(first, low, asked.out / "low", asked.seed).model_path
    zero = fit_shift(pool, [item.label for item in low])
    other = [item.label for item in low_labels(test, asked.out)]
    rows = [
        row("the other EAM itself", 0, test, other, zero),
        row("low labels alone", 0, test, answers(start, test), zero),
    ]
    for count in asked.labels:
        for recipe in asked.recipes:
            keys = {"start_from": "low", **RECIPES[recipe]}
            stage = StageSpec.model_validate(
                {**keys, "name": recipe, "epochs": FOREVER, "time_limit": seconds}
            )
            result = train(
                stage,
                chosen(pool, count, asked.seed),
                asked.out / f"{recipe}-{count}",
                asked.seed,
                start_from=start if stage.start_from else None,
                replay=low if stage.replay else (),
            )
            rows.append(row(recipe, count, test, answers(result.model_path, test)))
            screen.print(rows[-1])
    document = {"minutes": asked.minutes, "seed": asked.seed, "test": len(test), "rows": rows}
    if asked.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        show(document)
    return document


def low_labels(
    items: Sequence[LabelledConfiguration], directory: Path
) -> list[LabelledConfiguration]:
    """The same cells with the labels of the other EAM."""
    programs = find_programs()
    potential = make_potential(
        LOW, lmp=programs.require("lmp"), base=ROOT, potentials_dir=programs.potentials
    )
    labels = []
    for begin in range(0, len(items), CHUNK):
        part = [item.configuration for item in items[begin : begin + CHUNK]]
        scratch = directory / "labels"
        scratch.mkdir(parents=True, exist_ok=True)
        labels += potential.label(part, scratch)
    return [replace(item, label=label) for item, label in zip(items, labels, strict=True)]


def chosen(
    pool: Sequence[LabelledConfiguration], count: int, seed: int
) -> list[LabelledConfiguration]:
    """`count` cells; more are the fewer and some others."""
    order = np.random.default_rng(seed).permutation(len(pool))
    return [pool[index] for index in order[:count]]


def train(
    stage: StageSpec,
    labels: Sequence[LabelledConfiguration],
    directory: Path,
    seed: int,
    start_from: Path | None = None,
    replay: Sequence[LabelledConfiguration] = (),
) -> StageResult:
    """`MODEL` on four fifths of the labels, chosen on the last fifth."""
    n_validation = len(labels) // 5
    screen.print(f"{directory.name}: {len(labels) - n_validation} + {n_validation} cells")
    return train_stage(
        stage,
        MODEL,
        labels[n_validation:],
        labels[:n_validation],
        directory,
        seed=seed,
        start_from=start_from,
        replay=replay,
    )


def answers(model: Path, items: Sequence[LabelledConfiguration]) -> list[Label]:
    """What a model says about the cells."""
    return predict(model, [item.configuration for item in items])


def row(
    recipe: str,
    count: int,
    test: Sequence[LabelledConfiguration],
    found: Sequence[Label],
    zero: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Test errors; `zero` is the energy per element that takes `found` to the high labels."""
    errors = errors_json(compare(test, found, shift=zero))
    return {
        "recipe": recipe,
        "labels": count,
        **{name: errors[name]["rmse"] for name in QUANTITIES},
    }


def show(document: dict[str, Any]) -> None:
    """The table of test errors."""
    table = Table(title=f"test RMSE, {document['minutes']:g} min per training")
    for column in ("recipe", "labels", *QUANTITIES):
        table.add_column(column, justify="left" if column == "recipe" else "right")
    for line in document["rows"]:
        table.add_row(
            line["recipe"], str(line["labels"]), *[f"{line[name]:.3g}" for name in QUANTITIES]
        )
    Console().print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="per training")
    parser.add_argument("--labels", type=int, nargs="+", default=[25, 50, 100, 200, 430])
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("transfer-benchmark"))
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    main()
