"""Accuracy beside other packages: equal time, labels kept from the contestants, errors as said."""

from __future__ import annotations

import json
from pathlib import Path

import accuracy_peers
import numpy as np
import pytest
from ase.io import read
from judging.mlearn import MlearnSet
from trainers import work

from fw_nnp.core.records import Configuration, Label, LabelledConfiguration


def labelled(energy: float, n_atoms: int, force: float) -> LabelledConfiguration:
    configuration = Configuration(
        cell=6.0 * np.eye(3),
        positions=np.linspace(0.0, 3.0, n_atoms)[:, None] * np.ones(3),
        numbers=np.full(n_atoms, 42),
        pbc=(True, True, True),
    )
    label = Label(
        configuration_id=configuration.id,
        theory_id="thy-x",
        energy=energy,
        forces=np.full((n_atoms, 3), force),
        stress=0.01 * np.eye(3),
    )
    return LabelledConfiguration(configuration=configuration, label=label)


@pytest.fixture
def data() -> MlearnSet:
    training = [labelled(-8.0, 2, 0.1), labelled(-12.0, 3, 0.2)]
    return MlearnSet(element="Mo", training=training, test=[labelled(-6.0, 2, 0.5), *training[1:]])


@pytest.mark.parametrize(("start", "epoch"), [(3.0, 0.5), (20.0, 30.0), (1.0, 0.01)])
def test_the_epochs_fill_the_time(start, epoch, monkeypatch):
    done = []
    monkeypatch.setattr(
        work, "spent", lambda action: work.Spent(0.0, start + epoch * (action() or done[-1]))
    )
    found = work.epochs_within(done.append, 600.0)
    assert start + epoch * found == pytest.approx(600.0, abs=epoch)
    assert done[:2] == [1, 2]
    assert epoch * (done[-1] - 1) >= work.CLEAR  # no epoch's time from a difference of noise


def test_what_children_compute_is_paid_for():
    code = "n = 0\nwhile n < 3_000_000: n += 1"
    assert work.spent(lambda: work.command("python", "-c", code)).core_s > 0.01
    assert work.spent(lambda: None).core_s < 0.01


def test_contestants_get_no_label_of_the_test_cells(data, tmp_path):
    accuracy_peers._write(data, tmp_path / "mace")
    for atoms, item in zip(read(tmp_path / "mace" / "test.xyz", ":"), data.test, strict=True):
        np.testing.assert_allclose(atoms.positions, item.configuration.positions, atol=1e-7)
        assert atoms.calc is None
        assert not atoms.info
        assert set(atoms.arrays) == {"numbers", "positions"}
    first = read(tmp_path / "mace" / "train.xyz", 0)
    assert first.get_potential_energy() == pytest.approx(-8.0)
    assert read(tmp_path / "mace" / "train_mace.xyz", 1).info["REF_energy"] == pytest.approx(-12.0)


def test_errors_are_means_of_absolute_ones_per_atom_and_per_component(data, tmp_path):
    forces = [item.label.forces for item in data.test]
    np.savez(
        tmp_path / "answer.npz",
        energies=[-6.0 + 2 * 4e-3, -12.0 - 3 * 2e-3],
        forces=np.concatenate(forces) + np.array([0.03, -0.03, 0.0]),
        epochs=7,
        wall_s=2.0,
        core_s=1.5,
        version="1.2",
        settings="few words",
    )
    row = accuracy_peers._row("mace", tmp_path / "answer.npz", data.test)
    assert row["energy_meV_atom"] == pytest.approx(3.0)
    assert row["force_meV_A"] == pytest.approx(20.0)
    assert (row["epochs"], row["core_s"], row["version"]) == (7, 1.5, "1.2")


def test_a_package_that_is_absent_or_fails_is_named(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(accuracy_peers.mlearn, "read_set", lambda *_: data)
    nowhere, broken = tmp_path / "nowhere", tmp_path / "peers" / "mace" / "bin" / "python"
    options = ["--json", "--only", "mace", "--out"]
    accuracy_peers.main([*options, str(tmp_path / "a"), "--peers", str(nowhere)])
    assert json.loads(capsys.readouterr().out)["absent"] == [
        {"name": "mace", "why": "not installed"}
    ]
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\necho no such model; exit 3\n")
    broken.chmod(0o755)
    accuracy_peers.main([*options, str(tmp_path / "b"), "--peers", str(tmp_path / "peers")])
    document = json.loads(capsys.readouterr().out)
    (absent,) = document["absent"]
    assert "failed" in absent["why"]
    assert Path(absent["why"].split()[-1]).read_text() == "no such model\n"
    assert document["rows"] == []
    assert json.loads((tmp_path / "b" / "accuracy_peers.json").read_text()) == document
