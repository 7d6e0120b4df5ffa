"""How accurate a potential of default settings is: ``python benchmarks/accuracy.py ni``.

Trains on public data, judges on what was not trained on, prints every mark beside the limit, the
truth and published numbers. ``ni``: cells labelled by an EAM, judged by that EAM on fresh
trajectories and properties. ``mo``, ``li``, ``mlearn DIR``: DFT labels with official test files;
ours are trained on every cell of the training file, with none left for validation.
``ablation``: energies, forces, stress; one stage and two.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from judging import ablation, mlearn, nickel
from judging.marks import Mark, verdicts
from judging.table import show_rows, show_verdicts
from judging.training import Parts, default_stage, parts_of, seeds_of, train, training_document

from fw_nnp.core.errors import FwNnpError
from fw_nnp.core.specs import ModelSpec
from fw_nnp.exchange import load_description, read_labelled
from fw_nnp.nnp.artefact import read_card

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
DESCRIPTIONS = ROOT / "examples" / "descriptions"
DEFAULT_FRAMES = 40


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, judge, print; returns the document that ``--json`` prints."""
    asked = _parser().parse_args(arguments)
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = asked.run(asked)
    path = asked.out / f"{asked.set}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    if asked.json:
        print(path.read_text(encoding="utf-8"))
    return document


def run_nickel(asked: argparse.Namespace) -> dict[str, Any]:
    """Every pass mark, for every seed."""
    truth = nickel.nickel_truth(asked.data, asked.frames)
    document = _judged(asked, _nickel_parts(asked), lambda model: nickel.judge(model, truth))
    return document | {"truth": nickel.truth_document(truth)}


def run_mlearn(asked: argparse.Namespace) -> dict[str, Any]:
    """Errors on the test file, for every seed."""
    folder = asked.folder or asked.data / "mlearn" / asked.set.capitalize()
    known = DESCRIPTIONS / f"mlearn_{folder.name.lower()}.yaml"
    data = mlearn.read_set(folder, asked.description or (known if known.exists() else None))
    parts = Parts(training=data.training, validation=[])
    return _judged(asked, parts, lambda model: mlearn.judge(model, data))


def run_ablation(asked: argparse.Namespace) -> dict[str, Any]:
    """What forces, stress and a second stage are worth."""
    truth = nickel.nickel_truth(asked.data, asked.frames)
    seconds = 60.0 * asked.minutes
    rows = ablation.rows(_nickel_parts(asked), truth, asked.out, asked.seeds[0], seconds)
    if not asked.json:
        show_rows(f"ablation, {asked.minutes:g} minutes each", rows)
    return {"benchmark": "ablation", "minutes": asked.minutes, "rows": rows}


def _nickel_parts(asked: argparse.Namespace) -> Parts:
    description = load_description(DESCRIPTIONS / "ni_eam.yaml")
    return parts_of(list(read_labelled(asked.data / "ni_eam" / "train.h5", description)))


def _judged(
    asked: argparse.Namespace, parts: Parts, judge: Callable[[Path], list[Mark]]
) -> dict[str, Any]:
    """Train a potential per seed, or take the one that was given, and judge each."""
    trainings: list[dict[str, Any]] = []
    models = [] if asked.model is None else [asked.model]
    if asked.model is None:
        stage = default_stage(asked.time_limit, asked.epochs)
        for seed in asked.seeds:
            home = asked.out / f"{asked.set}-{seed}"
            result = train(stage, parts, home, seed, ModelSpec(members=asked.members))
            trainings.append({"seed": seed, **training_document(result, parts)})
            models.append(result.model_path)
    found = verdicts([judge(model) for model in models])
    if not asked.json:
        show_verdicts(f"{asked.set}: {len(models)} potential(s)", found)
        if trainings:
            columns = ("seed", "epochs", "best_epoch", "stress_offset_GPa", "wall_s", "core_s")
            show_rows("training", [{key: row[key] for key in columns} for row in trainings])
    return {
        "benchmark": "accuracy",
        "set": asked.set,
        "threads": asked.threads,
        "members": [read_card(model)["model"].get("members", 1) for model in models],
        "trainings": trainings,
        "marks": [verdict.document() for verdict in found],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Accuracy of potentials with default settings.")
    sets = parser.add_subparsers(dest="set", required=True)
    runs = {
        "ni": run_nickel,
        "mo": run_mlearn,
        "li": run_mlearn,
        "mlearn": run_mlearn,
        "ablation": run_ablation,
    }
    for name, run in runs.items():
        one = sets.add_parser(name)
        one.set_defaults(run=run, folder=None, description=None)
        one.add_argument("--seeds", type=seeds_of, default=[1], help="for example 1,2,3")
        one.add_argument("--threads", type=int, default=os.cpu_count())
        one.add_argument("--data", type=Path, default=DATA, help="folder of the public data")
        one.add_argument("--out", type=Path, default=Path("accuracy"), help="models, documents")
        one.add_argument("--json", action="store_true", help="the document, on stdout")
        if name in ("ni", "ablation"):
            one.add_argument("--frames", type=int, default=DEFAULT_FRAMES, help="per trajectory")
        if name == "ablation":
            one.add_argument("--minutes", type=float, default=4.0, help="of each training")
            continue
        one.add_argument("--model", type=Path, help="judge this model file; train none")
        one.add_argument("--members", type=int, help="size of a committee")
        one.add_argument("--epochs", type=int)
        one.add_argument("--time-limit", help='for example "30 min"')
        if name == "mlearn":
            one.add_argument("folder", type=Path, help="with training.json and test.json")
            one.add_argument("--description", type=Path, help="YAML that describes the files")
    return parser


if __name__ == "__main__":
    try:
        main()
    except FwNnpError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
