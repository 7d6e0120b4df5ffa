"""How accurate potentials are for the time they took: ``python benchmarks/accuracy_peers.py``.

Every package trains on the same cells with its own trainer, on one core, and predicts test cells
whose labels it does not see. fw_nnp trains as long as its default settings say; the others fill the
``--minutes``. What is found is left in ``--out`` after each.
Peers are installed by ``python benchmarks/peers/install.py``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import write
from judging import mlearn
from judging.table import show_rows
from peers.install import FOLDER, python_of
from rich.console import Console
from speed import report
from speed.worker import Contestant, bind, environment

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.errors import FwNnpError, SpecError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.exchange import write_labelled

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "mlearn" / "Mo"
DESCRIPTIONS = ROOT / "examples" / "descriptions"
THREADS = 1
CONTESTANTS = (
    Contestant("fw_nnp", "ours", "train", None),
    Contestant("mace", "mace", "train", "mace"),
    Contestant("allegro", "allegro", "train", "allegro"),
    Contestant("deepmd-kit", "deepmd", "train", "deepmd"),
    Contestant("torchnep", "torchnep", "train", "torchnep"),
    Contestant("apax", "apax", "train", "apax"),
)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, predict, judge, print; returns the document that ``--json`` prints."""
    asked = _parser().parse_args(arguments)
    known = DESCRIPTIONS / f"mlearn_{asked.folder.name.lower()}.yaml"
    data = mlearn.read_set(asked.folder, asked.description or (known if known.exists() else None))
    document: dict[str, Any] = {
        "benchmark": "accuracy beside other packages",
        "set": data.element,
        "minutes": asked.minutes,
        "seed": asked.seed,
        "machine": report.machine(THREADS),
        "rows": [],
        "absent": [],
    }
    if asked.out.exists():
        raise SpecError("the folder exists", place=str(asked.out), remedy="choose another --out")
    asked.out.mkdir(parents=True)
    with Console(stderr=True).status("") as status:
        for one in CONTESTANTS:
            if asked.only is None or one.name in asked.only:
                status.update(f"{one.name}: training")
                _run(one, data, asked, document)
                text = json.dumps(document, indent=2, ensure_ascii=False)
                (asked.out / "accuracy_peers.json").write_text(text, encoding="utf-8")
    if asked.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        title = f"{data.element}: errors on {len(data.test)} test cells, {THREADS} thread"
        if document["rows"]:
            show_rows(title, document["rows"])
        for absent in document["absent"]:
            print(f"{absent['name']}: {absent['why']}")
    return document


def _run(
    one: Contestant, data: mlearn.MlearnSet, asked: argparse.Namespace, document: dict[str, Any]
) -> None:
    """One package's row, or why there is none."""
    python = Path(sys.executable)
    if one.environment is not None:
        python = python_of(one.environment, asked.peers)
    if not python.exists():
        document["absent"].append({"name": one.name, "why": "not installed"})
        return
    folder = asked.out.resolve() / one.name
    _write(data, folder)
    words = [one.module, str(60.0 * asked.minutes), str(asked.seed)]
    with (folder / "log").open("w") as log:
        code = subprocess.run(
            [str(python), "-m", "trainers", *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(one, THREADS),
            preexec_fn=lambda: bind(THREADS),
        ).returncode
    if code:
        why = f"failed, see {folder / 'log'}"
        document["absent"].append({"name": one.name, "why": why})
        return
    document["rows"].append(_row(one.name, folder / "answer.npz", data.test))


def _write(data: mlearn.MlearnSet, folder: Path) -> None:
    """Training cells with labels, test cells without."""
    folder.mkdir()
    for name, of in (("train.xyz", "extxyz"), ("train_mace.xyz", "mace")):
        write_labelled(folder / name, data.training, of)
    write_labelled(folder / "train.deepmd", data.training)
    write(folder / "test.xyz", [to_atoms(item.configuration) for item in data.test])


def _row(name: str, answer: Path, test: Sequence[LabelledConfiguration]) -> dict[str, Any]:
    """Mean absolute errors and what they cost."""
    with np.load(answer) as found:
        counts = np.array([item.configuration.n_atoms for item in test])
        energies = found["energies"].reshape(-1) - [item.label.energy for item in test]
        forces = found["forces"] - np.concatenate([item.label.forces for item in test])
        return {
            "name": name,
            "version": str(found["version"]),
            "settings": str(found["settings"]),
            "epochs": int(found["epochs"]),
            "core_s": float(found["core_s"]),
            "wall_s": float(found["wall_s"]),
            "energy_meV_atom": float(1e3 * np.abs(energies / counts).mean()),
            "force_meV_A": float(1e3 * np.abs(forces).mean()),
        }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Accuracy beside other packages, for equal time.")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=DATA, help="with training.json and test.json"
    )
    parser.add_argument("--description", type=Path, help="YAML that describes the files")
    parser.add_argument("--minutes", type=float, default=30.0, help="that each peer may train")
    parser.add_argument("--seed", type=int, default=1)
    names = [one.name for one in CONTESTANTS]
    parser.add_argument("--only", nargs="*", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--out", type=Path, default=Path("accuracy_peers"), help="a new folder")
    parser.add_argument("--peers", type=Path, default=FOLDER, help="of peers/install.py")
    parser.add_argument("--json", action="store_true", help="the document, on stdout")
    return parser


if __name__ == "__main__":
    try:
        main()
    except FwNnpError as error:
        print(f"accuracy_peers: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
