"""A potential at work from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from fw_nnp.cli.main import main
from fw_nnp.core.atoms import from_atoms, label_from_calculator, to_atoms
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.exchange import read_labelled
from fw_nnp.nnp import load_calculator, train_stage

SPEC = ModelSpec(cutoff=5.0, n_basis=6, n_radial=4, l_max=2, hidden=[12])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    items = []
    for scale in rng.uniform(0.02, 0.2, size=30):
        atoms = bulk("Al", cubic=True, a=rng.uniform(3.85, 4.2))
        atoms.rattle(scale, rng=rng)
        configuration = from_atoms(atoms)
        label = label_from_calculator(configuration, EMT(), "thy-emt")
        items.append(LabelledConfiguration(configuration=configuration, label=label))
    stage = StageSpec(name="first", epochs=40, learning_rate=1e-2)
    directory = tmp_path_factory.mktemp("model")
    return train_stage(stage, SPEC, items[:24], items[24:], directory, seed=1).model_path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr("sys.argv", ["fw-nnp", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert (ended.value.code or 0) == code, printed.err
        return printed.out, printed.err

    return run


def structures() -> list:
    rng = np.random.default_rng(2)
    found = []
    for size in [(1, 1, 1), (2, 1, 1), (1, 1, 1)]:
        atoms = bulk("Al", cubic=True, a=4.05) * size
        atoms.rattle(0.05, rng=rng)
        found.append(atoms)
    return found


def test_relax_writes_structures_with_their_labels(call, model, tmp_path: Path) -> None:
    ase.io.write(tmp_path / "start.extxyz", structures())
    words = ("relax", "start.extxyz", "--model", model, "--cell", "--fmax", "0.02")
    printed, _ = call(*words, "--out", "end.extxyz", "--json")
    rows = json.loads(printed)["cells"]
    items = list(read_labelled(tmp_path / "end.extxyz"))
    assert [row["formula"] for row in rows] == ["Al4", "Al8", "Al4"]
    for row, item in zip(rows, items, strict=True):
        atoms = to_atoms(item.configuration)
        atoms.calc = load_calculator(model)
        assert row["converged"]
        assert row["energy_eV"] == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
        assert item.label.energy == pytest.approx(row["energy_eV"], abs=1e-8)
        assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.02 + 1e-6


def test_relax_says_what_did_not_converge(call, model, tmp_path: Path) -> None:
    ase.io.write(tmp_path / "POSCAR", structures()[0])
    printed, messages = call("relax", "POSCAR", "--model", model, "--steps", "1", code=1)
    assert "not all converged in 1 steps" in messages
    assert "False" in printed
    assert (tmp_path / "relaxed.extxyz").is_file()


def test_relax_refuses_what_is_no_structure(call, model, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing\n")
    _, messages = call("relax", "notes.txt", "--model", model, code=2)
    assert "notes.txt: cannot be read" in messages


def test_card_shows_what_the_model_was_trained_on(call, model) -> None:
    printed, _ = call("card", model)
    stored = json.loads(call("card", model, "--json")[0])
    data = stored["training"]["data"]
    assert data["cells"] == 24
    assert data["elements"] == {"Al": 96}
    assert stored["id"] in printed
    for words in ("| atoms of Al | 96 |", "| started from | random numbers |", "| seed | 1 |"):
        assert words in printed
    low, high = data["ranges"]["volume"]
    assert f"| volume (Å³/atom) | {low:.4g} to {high:.4g} |" in printed
    assert 3.85**3 / 4 <= low < high <= 4.2**3 / 4
    error = stored["training"]["errors"]["validation_forces"]
    assert f"| forces (meV/Å), validation | {error:.3g} |" in printed


def test_lammps_hands_its_arguments_on_and_refuses_clearly(call, model, tmp_path: Path) -> None:
    """Only what needs no LAMMPS; the rest is in tests/nnp/test_lammps_run.py."""
    (tmp_path / "in.al").write_text("units metal\nrun 1\n")
    _, messages = call("lammps", "in.al", "--", "-var", "T", "300", code=2)
    assert "in.al: no pair_style fw_nnp in it" in messages
    assert "pair_coeff * *" in messages


def test_export_to_nowhere_is_refused(call, model) -> None:
    _, messages = call("export-model", model, "gone/al.pt2", code=2)
    assert "gone: no such folder" in messages
