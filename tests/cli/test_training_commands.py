"""Training and testing on files, without a database."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from fw_nnp.cli.main import main
from fw_nnp.core.atoms import from_atoms, label_from_calculator
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.exchange import write_labelled
from fw_nnp.nnp import load_calculator, predict_members

DATA = Path(__file__).parents[3] / "shared" / "data"
DESCRIPTIONS = Path(__file__).parents[2] / "examples" / "descriptions"
CONFIG = """
model: {cutoff: 5.0 Å, l_max: 2, n_radial: 4, hidden: [8, 8]}
stages:
- {name: first, epochs: 8}
- {name: second, start_from: first, epochs: 4, learning_rate: 1.0e-3, freeze: ["radial.*"]}
"""


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.yaml").write_text(CONFIG)

    def run(*words: str | Path) -> str:
        monkeypatch.setattr("sys.argv", ["fw-nnp", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code in (0, None), printed.err
        return printed.out

    return run


def cells(count: int, seed: int) -> list[LabelledConfiguration]:
    rng = np.random.default_rng(seed)
    items = []
    for _ in range(count):
        atoms = bulk("Al", cubic=True, a=rng.uniform(3.9, 4.15))
        atoms.rattle(0.1, rng=rng)
        configuration = from_atoms(atoms)
        label = label_from_calculator(configuration, EMT(), "thy-emt")
        items.append(LabelledConfiguration(configuration=configuration, label=label))
    return items


def test_all_cells_may_be_trained_on(call, tmp_path: Path) -> None:
    write_labelled(tmp_path / "train.extxyz", cells(4, 1))
    (tmp_path / "all.yaml").write_text(
        "dataset: {fractions: [1, 0, 0]}\nstages: [{name: only, epochs: 2}]\n"
    )
    words = ("train", "--data", "train.extxyz", "--out", "model", "--config", "all.yaml")
    (stage,) = json.loads(call(*words, "--json"))["stages"]
    assert stage["errors of"] == "training"
    assert stage["force meV/Å"] > 0.0
    assert "training" in call(*words)


def test_a_constant_that_was_left_out_of_the_stresses_is_said(call, tmp_path: Path) -> None:
    write_labelled(tmp_path / "train.extxyz", cells(4, 1))
    (tmp_path / "all.yaml").write_text(
        "dataset: {fractions: [1, 0, 0]}\nstages: [{name: only, epochs: 2, stress_offset: 1.5}]\n"
    )
    words = ("train", "--data", "train.extxyz", "--out", "model", "--config", "all.yaml")
    assert json.loads(call(*words, "--json"))["stress_offset_GPa"] == {"only": 1.5}
    told = " ".join(call(*words).split())
    assert "stage only: a constant +1.50 GPa in the normal stresses of the labels" in told


def test_train_evaluate_and_use(call, tmp_path: Path) -> None:
    write_labelled(tmp_path / "train.extxyz", cells(40, 1))
    write_labelled(tmp_path / "test.extxyz", cells(10, 2))
    words = ("train", "--data", "train.extxyz", "--out", "model", "--config", "train.yaml")
    first = json.loads(call(*words, "--json"))
    assert [stage["stage"] for stage in first["stages"]] == ["first", "second"]
    assert {stage["errors of"] for stage in first["stages"]} == {"validation"}
    again = json.loads(call(*words, "--json"))
    assert again == first  # finished stages are returned as they are
    assert first["members"] == 4  # labels are few
    assert "model.pt, a committee of 4 networks" in " ".join(call(*words).split())
    errors = json.loads(call("evaluate", "model/model.pt", "--data", "test.extxyz", "--json"))
    assert errors["configurations"] == 10
    forces = np.concatenate([item.label.forces.ravel() for item in cells(10, 2)])
    assert errors["force_meV_A"]["rmse"] < 1e3 * forces.std()  # better than saying nothing
    atoms = bulk("Al", cubic=True)
    atoms.rattle(0.05, seed=3)
    atoms.calc = load_calculator(tmp_path / "model" / "model.pt")
    assert atoms.get_potential_energy() == atoms.get_potential_energy(force_consistent=True)
    assert atoms.get_forces().shape == (4, 3)
    assert atoms.get_stress().shape == (6,)
    assert "force_meV_A" in call("evaluate", "model/model.pt", "--data", "test.extxyz")


TRANSFER = """
model: {cutoff: 5.0 Å, l_max: 2, n_radial: 4, hidden: [8, 8]}
dataset: {fractions: [0.5, 0.5, 0.0]}
stages:
- {name: pretrain, labels: low, epochs: 2}
- {name: tune, start_from: pretrain, preset: paper, replay: {fraction: 0.5}, epochs: 2}
"""


def test_transfer_from_one_file_to_another_tells_what_moved(call, tmp_path: Path) -> None:
    write_labelled(tmp_path / "low.extxyz", cells(12, 1))
    write_labelled(tmp_path / "high.extxyz", [*cells(4, 1), *cells(4, 3)])
    (tmp_path / "train.yaml").write_text(TRANSFER)
    words = ("train", "--data", "high.extxyz", "--out", "model", "--config", "train.yaml")
    low = ("--low-data", "low.extxyz")
    document = json.loads(call(*words, *low, "--json"))
    assert document["movement"]["pretrain"] == {}
    moved = document["movement"]["tune"]
    assert moved["parameters"]["network.Al.0.weight"] == 0.0
    assert moved["parameters"]["network.Al.1.weight"] > 0.0
    shown = call(*words, *low)
    assert "what stage tune moved" in shown
    assert document["members"] == 1  # as the stage on low labels
    assert "committee" not in shown
    assert "network.Al.1.weight" in shown


def test_stages_on_low_labels_ask_for_a_file_of_them(
    capsys: pytest.CaptureFixture[str], call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_labelled(tmp_path / "high.extxyz", cells(4, 1))
    (tmp_path / "train.yaml").write_text(TRANSFER)
    words = ["fw-nnp", "train", "--data", "high.extxyz", "--out", "model", "--config", "train.yaml"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--low-data" in capsys.readouterr().err


def test_a_committee_draws_how_well_it_knows_its_errors(call, tmp_path: Path) -> None:
    write_labelled(tmp_path / "train.extxyz", cells(30, 1))
    config = CONFIG.replace("hidden:", "members: 3, hidden:").replace("epochs: 8", "epochs: 4")
    (tmp_path / "train.yaml").write_text(config)
    call("train", "--data", "train.extxyz", "--out", "model", "--config", "train.yaml")
    words = ("evaluate", "model/model.pt", "--data", "train.extxyz", "--calibration", "figure.png")
    found = json.loads(call(*words, "--json"))
    assert found["force_meV_A"]["count"] == 30 * 12
    assert found["force_meV_A"]["factor"] > 0
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "rank correlation" in call(*words)


def test_a_baseline_lies_beside_the_configuration(call, tmp_path: Path, programs) -> None:
    file = programs.require_potentials() / "Al_mm.eam.fs"
    (tmp_path / "Al_mm.eam.fs").write_bytes(file.read_bytes())
    write_labelled(tmp_path / "train.extxyz", cells(12, 1))
    text = CONFIG.replace("hidden:", "baseline: {style: eam/fs, file: Al_mm.eam.fs}, hidden:")
    (tmp_path / "train.yaml").write_text(text.replace("epochs: 8", "epochs: 1"))
    call("train", "--data", "train.extxyz", "--out", "model", "--config", "train.yaml")
    (tmp_path / "Al_mm.eam.fs").unlink()
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"style eam/fs, file Al_mm.eam.fs, sha256 {sha256}" in call("card", "model/model.pt")
    atoms = bulk("Al", cubic=True)
    atoms.calc = load_calculator(tmp_path / "model" / "model.pt")
    assert np.isfinite(atoms.get_potential_energy())


def test_a_head_is_evaluated_by_name(call, tmp_path: Path) -> None:
    write_labelled(tmp_path / "low.extxyz", cells(12, 1))
    write_labelled(tmp_path / "high.extxyz", cells(8, 3))
    text = TRANSFER.replace("l_max: 2", "l_max: 2, heads: [eam, dft]").replace(
        "preset: paper, ", ""
    )
    (tmp_path / "train.yaml").write_text(text)
    words = ("--data", "high.extxyz", "--low-data", "low.extxyz", "--config", "train.yaml")
    document = json.loads(call("train", *words, "--out", "model", "--json"))
    assert {"eam.Al", "dft.Al"} == set(document["movement"]["tune"]["reference"])
    found = [
        json.loads(call("evaluate", "model/model.pt", "--data", "low.extxyz", "--json", *head))
        for head in ((), ("--head", "dft"), ("--head", "eam"))
    ]
    assert found[0] == found[1] != found[2]


@pytest.mark.slow
def test_members_spread_over_processes_end_as_one_committee(call, tmp_path: Path) -> None:
    write_labelled(tmp_path / "train.extxyz", cells(12, 1))
    config = CONFIG.replace("hidden:", "members: 2, hidden:").replace("epochs: 8", "epochs: 1")
    (tmp_path / "train.yaml").write_text(config)
    words = ("--data", "train.extxyz", "--config", "train.yaml", "--spread", "--json")
    document = json.loads(call("train", *words, "--out", "model"))
    stages = ["first, member 1", "first, member 2", "second, member 1", "second, member 2"]
    assert [row["stage"] for row in document["stages"]] == stages
    path = tmp_path / "model" / "model.pt"
    assert path.read_bytes() == (tmp_path / "model" / "second" / "model.pt").read_bytes()
    members = predict_members(path, [item.configuration for item in cells(1, 5)])[0]
    assert len({label.energy for label in members}) == 2


@pytest.mark.skipif(not DATA.exists(), reason="third-party data are not here")
@pytest.mark.parametrize(
    ("data", "description"),
    [("ni_eam/train.h5", "ni_eam.yaml"), ("mlearn/Mo/test.json", "mlearn_mo.yaml")],
)
def test_foreign_files_train_with_their_description(call, data: str, description: str) -> None:
    text = CONFIG.replace("epochs: 8", "epochs: 1").replace("epochs: 4", "epochs: 1")
    Path("train.yaml").write_text(text)
    words = ("--data", DATA / data, "--description", DESCRIPTIONS / description, "--json")
    trained = json.loads(call("train", *words, "--out", "model", "--config", "train.yaml"))
    errors = json.loads(call("evaluate", trained["model"], *words))
    assert errors["stress_GPa"]["count"] > 0
    assert errors["force_meV_A"]["rmse"] > 0
