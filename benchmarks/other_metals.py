"""What settings are worth on metals that no mark is about: ``python benchmarks/other_metals.py``.

Defaults must not be chosen by the test files and the nickel that `accuracy.py` judges by. So the
nickel cells are scaled to the lattice constant of another fcc metal and labelled by an EAM of it
that comes with LAMMPS. What a potential that was trained on them says of elastic constants and of
crystals that are in no cell is compared with that EAM's own. ``--stage`` and ``--model`` take
changes of the default settings as YAML, for example ``--stage "{weights: {energy: 200}}"``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml
from ase.data import atomic_numbers
from judging.table import show_rows
from judging.training import (
    Parts,
    default_stage,
    parts_of,
    screen,
    seeds_of,
    train,
    training_document,
)
from pydantic import ValidationError

from fw_nnp.core.errors import FwNnpError
from fw_nnp.core.records import Configuration, Label, LabelledConfiguration
from fw_nnp.core.specs import EvaluateSpec, ModelSpec, PotentialSpec, StageSpec
from fw_nnp.exchange import load_description, read_labelled
from fw_nnp.nnp import predict
from fw_nnp.potentials import make_potential
from fw_nnp.properties.elastic import Evaluate, cubic_properties
from fw_nnp.properties.structures import structure_energy
from fw_nnp.services.engines import find_programs

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
NICKEL = 3.5162  # Å, lattice constant of the potential that sampled the cells
EPOCHS = 40


@dataclass(frozen=True, kw_only=True)
class Metal:
    """An EAM of LAMMPS' own, and its lattice constant in Å."""

    style: str
    file: str
    a0: float


METALS: Mapping[str, Metal] = {
    "Cu": Metal(style="eam/alloy", file="Cu_mishin1.eam.alloy", a0=3.6149),
    "Al": Metal(style="eam/fs", file="Al_mm.eam.fs", a0=4.0453),
}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train for every metal and seed, compare, print; returns the document of ``--json``."""
    asked = _asked(arguments)
    torch.set_num_threads(asked.threads)
    truth, rows = {}, []
    for symbol in asked.metals:
        truth[symbol], found = judged(symbol, asked)
        rows += found
    document = {
        "benchmark": "other_metals",
        "epochs": asked.epochs,
        "stage": asked.stage,
        "model": asked.model,
        "truth": truth,
        "rows": rows,
    }
    if asked.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        show_rows("the EAMs", [{"metal": symbol, **values} for symbol, values in truth.items()])
        show_rows("errors of what was trained on their labels", rows)
    return document


def judged(symbol: str, asked: argparse.Namespace) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Properties of a metal by its EAM, and the errors of a potential for every seed."""
    metal = METALS[symbol]
    spec = PotentialSpec(style=metal.style, file=metal.file, elements=[symbol])
    programs = find_programs()
    potential = make_potential(
        spec, lmp=programs.require("lmp"), base=ROOT, potentials_dir=programs.potentials
    )
    stage, model = settings(asked)
    rows = []
    with TemporaryDirectory() as name:
        scratch = Path(name)

        def eam(cells: Sequence[Configuration]) -> list[Label]:
            return potential.label(cells, scratch / "label")

        with screen.status(f"{symbol}: its EAM labels the cells"):
            parts = relabelled(nickel_parts(asked.data, asked.cells), symbol, eam)
            truth = properties(symbol, eam)
        for seed in asked.seeds:
            result = train(stage, parts, scratch / f"{symbol}-{seed}", seed, model)
            found = properties_of(symbol, result.model_path)
            rmse = training_document(result, parts)["validation_rmse"]
            rows.append(
                {"metal": symbol, "seed": seed}
                | {name: found.get(name, math.nan) - value for name, value in truth.items()}
                | {f"{name}, validation": value for name, value in rmse.items()}
                | {"core_s": result.core_s}
            )
    return truth, rows


def nickel_parts(data: Path, cells: int | None) -> Parts:
    """Nickel cells to train on and to validate with; the first `cells` of the file, or all."""
    description = load_description(ROOT / "examples" / "descriptions" / "ni_eam.yaml")
    return parts_of(list(read_labelled(data / "ni_eam" / "train.h5", description))[:cells])


def relabelled(parts: Parts, symbol: str, evaluate: Evaluate) -> Parts:
    """The same cells at the scale of another metal, with that metal's labels."""

    def of(items: Sequence[LabelledConfiguration]) -> list[LabelledConfiguration]:
        cells = [scaled(item.configuration, symbol) for item in items]
        return [
            replace(item, configuration=cell, label=label)
            for item, cell, label in zip(items, cells, evaluate(cells), strict=True)
        ]

    return Parts(training=of(parts.training), validation=of(parts.validation))


def scaled(configuration: Configuration, symbol: str) -> Configuration:
    """Atoms of another metal, at distances that are to its lattice constant as they were."""
    factor = METALS[symbol].a0 / NICKEL
    return replace(
        configuration,
        cell=configuration.cell * factor,
        positions=configuration.positions * factor,
        numbers=np.full(configuration.n_atoms, atomic_numbers[symbol]),
    )


def properties_of(symbol: str, model: Path) -> dict[str, float]:
    """`properties` by a model file; empty if it does not know the crystal at all."""
    try:
        return properties(symbol, lambda cells: predict(model, cells))
    except FwNnpError as error:  # rows with NaN say so, and the other potentials are compared
        screen.print(f"{symbol}: {error}", markup=False)
        return {}


def properties(symbol: str, evaluate: Evaluate) -> dict[str, float]:
    """bcc and hcp above fcc in meV/atom; elastic constants in GPa at 0.5 % strain."""
    a0 = METALS[symbol].a0
    fcc, bcc, hcp = (
        1e3 * structure_energy(evaluate, symbol, structure, a0**3 / 4)
        for structure in ("fcc", "bcc", "hcp")
    )
    spec = EvaluateSpec(element=symbol, lattice_constant=a0, strain=0.005)
    elastic = cubic_properties(evaluate, spec)
    return {
        "bcc - fcc": bcc - fcc,
        "hcp - fcc": hcp - fcc,
        "C11": elastic.c11,
        "C12": elastic.c12,
        "C44": elastic.c44,
    }


def settings(asked: argparse.Namespace) -> tuple[StageSpec, ModelSpec]:
    """The default ones with the changes that are asked for."""
    stage = default_stage(None, asked.epochs, **asked.stage)
    return stage, ModelSpec.model_validate(asked.model)


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; wrong settings end it before anything is trained."""
    parser = argparse.ArgumentParser(description="What settings are worth on other metals.")
    parser.add_argument("--metals", nargs="+", choices=METALS, default=list(METALS))
    parser.add_argument("--seeds", type=seeds_of, default=[1], help="for example 1,2,3")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--cells", type=int, help="as few of the nickel cells, to try it out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stage", type=_changes, default={}, help="changes, as YAML")
    parser.add_argument("--model", type=_changes, default={}, help="changes, as YAML")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the public data")
    parser.add_argument("--json", action="store_true", help="the document, on stdout")
    asked = parser.parse_args(arguments)
    try:
        settings(asked)
    except ValidationError as error:
        parser.error(f"--stage or --model: {error}")
    return asked


def _changes(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"no YAML: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError('wanted is "{KEY: VALUE}"')
    return found


if __name__ == "__main__":
    try:
        main()
    except FwNnpError as error:
        print(f"other_metals: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
