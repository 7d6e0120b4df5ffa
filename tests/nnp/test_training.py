"""Training keeps its promises: it learns, repeats, resumes, refuses."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fw_nnp.core.errors import CheckpointMismatch, Diverged, SpecError, TrainingError
from fw_nnp.core.records import Label
from fw_nnp.core.specs import LossWeights, ModelSpec, StageSpec
from fw_nnp.nnp import load_calculator, predict, train_stage
from fw_nnp.nnp.artefact import FORMAT, load_model, read_card
from fw_nnp.nnp.data import CellSet, read_cell, total_errors

from .conftest import SMALL, emt_cells


def state_of(path):
    return load_model(path).state_dict()


def assert_same_bits(a, b):
    a, b = state_of(a), state_of(b)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def relabelled(item, **changes):
    label = item.label
    fields = {"configuration_id", "theory_id", "energy", "forces", "stress"}
    new = Label(**({f: getattr(label, f) for f in fields} | changes))
    return replace(item, label=new)


def test_learns_energy_forces_and_stress(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=40)
    result = train_stage(stage, small_spec, cells[:40], cells[40:], tmp_path, seed=1)
    first, best = result.history[0], result.history[result.best_epoch - 1]
    for name in ("energy", "forces", "stress"):
        assert best[f"validation_{name}"] < 0.35 * first[f"validation_{name}"]
    spread = 1000 * np.concatenate([c.label.forces for c in cells]).std()
    assert best["validation_forces"] < 0.25 * spread
    assert not result.stopped_early
    assert result.wall_s > 0
    assert result.core_s > 0


def test_history_is_what_the_saved_model_does(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=5, learning_rate=1e-2)
    result = train_stage(stage, small_spec, cells[:40], cells[40:], tmp_path, seed=1)
    labels = predict(result.model_path, [c.configuration for c in cells[40:]])
    forces = np.concatenate(
        [a.forces - b.label.forces for a, b in zip(labels, cells[40:], strict=True)]
    )
    recorded = result.history[result.best_epoch - 1]["validation_forces"]
    assert 1000 * np.sqrt((forces**2).mean()) == pytest.approx(recorded, rel=1e-4)


def test_same_seed_same_bits_other_seed_not(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=2)
    a, b, c = (
        train_stage(stage, small_spec, cells[:20], [], tmp_path / name, seed=seed).model_path
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert_same_bits(a, b)
    assert not torch.equal(state_of(a)["radial.Al.pairs"], state_of(c)["radial.Al.pairs"])


def test_stopped_and_resumed_equals_uninterrupted(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=4, batch_size=8)
    whole = train_stage(stage, small_spec, cells[:40], cells[40:], tmp_path / "whole", seed=1)
    parts = tmp_path / "parts"
    for steps in (3, 7):  # in the middle of epochs of 5 steps
        calls = iter(range(steps))
        stopped = train_stage(
            stage,
            small_spec,
            cells[:40],
            cells[40:],
            parts,
            seed=1,
            stop=lambda calls=calls: next(calls, None) is None,
        )
        assert stopped.stopped_early
    resumed = train_stage(stage, small_spec, cells[:40], cells[40:], parts, seed=1)
    assert not resumed.stopped_early
    assert_same_bits(whole.model_path, resumed.model_path)
    for a, b in zip(whole.history, resumed.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {
            k: v for k, v in b.items() if k != "seconds"
        }


KILLED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.nnp import stage_run, train_stage
from tests.nnp.conftest import SMALL, emt_cells
stage_run.CHECKPOINT_SECONDS = 0.0
cells = emt_cells(48)
stage = StageSpec(name="first", epochs=40, batch_size=8)
train_stage(
    stage, ModelSpec(members=int(sys.argv[2]), **SMALL), cells[:40], cells[40:],
    Path(sys.argv[1]), seed=1,
    progress=lambda progress: print(progress.epoch, flush=True),
)
"""


@pytest.mark.parametrize("members", [1, 2])
def test_killed_and_resumed_equals_uninterrupted(cells, tmp_path, members):
    stage = StageSpec(name="first", epochs=40, batch_size=8)
    spec = ModelSpec(members=members, **SMALL)
    whole = train_stage(stage, spec, cells[:40], cells[40:], tmp_path / "whole", seed=1)
    root = Path(__file__).parents[2]
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(members)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    for _ in range(12):
        run.stdout.readline()
    time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.pt").exists()
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    resumed = train_stage(stage, spec, cells[:40], cells[40:], tmp_path / "killed", seed=1)
    assert len(resumed.history) == 40
    assert_same_bits(whole.model_path, resumed.model_path)


def test_finished_stage_is_returned_as_it_is(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=2)
    epochs = []
    for _ in range(2):
        result = train_stage(
            stage,
            small_spec,
            cells[:16],
            [],
            tmp_path,
            seed=1,
            progress=lambda progress: epochs.append(progress.epoch),
        )
    assert epochs == [1, 2]
    assert len(result.history) == 2


def test_checkpoint_of_another_training_is_refused(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=1)
    train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)
    with pytest.raises(CheckpointMismatch, match="seed differ"):
        train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=2)
    with pytest.raises(CheckpointMismatch, match="training labels differ"):
        train_stage(stage, small_spec, cells[:15], [], tmp_path, seed=1)
    longer = stage.model_copy(update={"epochs": 2})
    with pytest.raises(CheckpointMismatch, match="stage differ"):
        train_stage(longer, small_spec, cells[:16], [], tmp_path, seed=1)


def test_checkpoint_of_a_model_that_was_computed_otherwise_is_refused(
    cells, small_spec, tmp_path, monkeypatch
):
    stage = StageSpec(name="first", epochs=1)
    with monkeypatch.context() as earlier:
        earlier.setattr("fw_nnp.nnp.identity.FORMAT", FORMAT - 1)
        train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)
    with pytest.raises(CheckpointMismatch, match="model differ"):
        train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)


def test_checkpoint_of_another_schema_is_refused(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=1)
    train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)
    path = tmp_path / "checkpoint.pt"
    torch.save({**torch.load(path, weights_only=True), "schema": 999}, path)
    with pytest.raises(CheckpointMismatch, match="schema 999"):
        train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)
    path.write_bytes(b"half a file")
    with pytest.raises(TrainingError, match="cannot be read"):
        train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)


def test_full_disk_leaves_the_old_checkpoint_whole(cells, small_spec, tmp_path, monkeypatch):
    stage = StageSpec(name="first", epochs=3)
    never_again = iter([False])
    train_stage(
        stage,
        small_spec,
        cells[:16],
        [],
        tmp_path,
        seed=1,
        stop=lambda: next(never_again, True),
    )
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(TrainingError, match="No space left on device") as caught:
            train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)
    assert "make room" in caught.value.remedy
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))
    result = train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)
    assert len(result.history) == 3


def test_absent_forces_and_stress_are_masked(cells, small_spec, tmp_path):
    """Labels without forces or stress count for energy and add nothing else."""
    stage = StageSpec(name="first", epochs=1)
    bare = [relabelled(c, forces=None, stress=None) for c in cells[:16]]
    result = train_stage(stage, small_spec, bare, bare[:4], tmp_path, seed=1)
    last = result.history[-1]
    assert last["train_energy"] > 0
    assert last["train_forces"] is None
    assert last["validation_stress"] is None

    model = load_model(result.model_path)
    whole = CellSet([read_cell(model, c, LossWeights()) for c in cells[:4]])
    mixed = CellSet([read_cell(model, c, LossWeights()) for c in [*cells[:4], *bare[4:8]]])
    a, b = (total_errors(model, s) for s in (whole, mixed))
    assert b.counts.tolist() == [8.0, 48.0, 24.0]
    torch.testing.assert_close(a.squares[1:], b.squares[1:], rtol=1e-5, atol=0.0)


def test_divergence_names_the_configurations(cells, small_spec, tmp_path):
    forces = np.array(cells[15].label.forces)
    forces[2, 1] = 1e30
    poisoned = [*cells[:15], relabelled(cells[15], forces=forces)]
    stage = StageSpec(name="first", epochs=2, batch_size=16)
    with pytest.raises(Diverged, match="not finite") as caught:
        train_stage(stage, small_spec, poisoned, [], tmp_path, seed=1)
    assert cells[15].configuration.id in str(caught.value)
    assert cells[3].configuration.id not in str(caught.value)


def test_exploding_learning_rate_is_noticed(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=60, learning_rate=1e12)
    with pytest.raises(Diverged):
        train_stage(stage, small_spec, cells[:16], [], tmp_path, seed=1)


def test_time_limit_ends_with_a_decayed_rate(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=100000, time_limit=1.5, learning_rate=1e-3)
    started = time.monotonic()
    result = train_stage(stage, small_spec, cells[:40], cells[40:], tmp_path, seed=1)
    assert time.monotonic() - started < 6.0
    assert result.history[-1]["learning_rate"] < 1e-4
    assert not result.stopped_early


def test_patience_ends_a_stage_that_does_not_improve(cells, small_spec, tmp_path):
    stage = StageSpec(name="first", epochs=500, patience=3, learning_rate=1e-2)
    result = train_stage(stage, small_spec, cells[:16], cells[40:42], tmp_path, seed=1)
    assert len(result.history) == result.best_epoch + 3


def test_transfer_starts_where_the_first_stage_ended(trained, cells, small_spec, tmp_path):
    shifted = [relabelled(c, energy=c.label.energy + 7.0 * 4) for c in cells]
    stage = StageSpec(name="second", start_from="first", epochs=1, learning_rate=1e-9)
    result = train_stage(
        stage, small_spec, shifted[:40], shifted[40:], tmp_path, seed=1, start_from=trained
    )
    old, new = state_of(trained), state_of(result.model_path)
    assert float(new["reference"] - old["reference"]) == pytest.approx(7.0, abs=0.1)
    assert result.history[0]["validation_energy"] < 1000.0
    kept = stage.model_copy(update={"refit_energies": False})
    result = train_stage(
        kept, small_spec, shifted[:40], shifted[40:], tmp_path / "k", seed=1, start_from=trained
    )
    assert result.history[0]["validation_energy"] > 6000.0
    assert torch.equal(state_of(result.model_path)["reference"], old["reference"])


def test_frozen_parameters_do_not_move(trained, cells, small_spec, tmp_path):
    stage = StageSpec(
        name="second", start_from="first", epochs=2, freeze=["network.*.0.*", "radial.*"]
    )
    path = train_stage(
        stage, small_spec, cells[:16], cells[40:], tmp_path, seed=1, start_from=trained
    ).model_path
    old, new = state_of(trained), state_of(path)
    for name in ("network.Al.0.weight", "network.Al.0.bias", "radial.Al.cubic"):
        assert torch.equal(old[name], new[name])
    for name in ("network.Al.1.weight", "network.Al.2.bias"):
        assert not torch.equal(old[name], new[name])


def test_wrong_freeze_pattern_and_wrong_start_are_refused(trained, cells, small_spec, tmp_path):
    stage = StageSpec(name="second", start_from="first", epochs=1, freeze=["netwrok.*"])
    with pytest.raises(SpecError, match="no parameter matches 'netwrok"):
        train_stage(stage, small_spec, cells[:8], [], tmp_path, seed=1, start_from=trained)
    everything = stage.model_copy(update={"freeze": ["*"]})
    with pytest.raises(SpecError, match="nothing is left"):
        train_stage(everything, small_spec, cells[:8], [], tmp_path, seed=1, start_from=trained)
    other = ModelSpec(**{**SMALL, "l_max": 2})
    with pytest.raises(SpecError, match="l_max differ"):
        train_stage(stage, other, cells[:8], [], tmp_path, seed=1, start_from=trained)
    with pytest.raises(TrainingError, match="starts from 'first'"):
        train_stage(stage, small_spec, cells[:8], [], tmp_path, seed=1)


def test_weights_decide_what_is_learned(cells, small_spec, tmp_path):
    """With no weight on forces and stress they are worse than with it."""
    errors = []
    for weights in (LossWeights(), LossWeights(forces=0.0, stress=0.0)):
        stage = StageSpec(name="first", epochs=30, weights=weights)
        directory = tmp_path / str(len(errors))
        result = train_stage(stage, small_spec, cells[:40], cells[40:], directory, seed=1)
        errors.append(result.history[-1])
    assert errors[0]["validation_forces"] < 0.8 * errors[1]["validation_forces"]
    assert errors[0]["validation_stress"] < errors[1]["validation_stress"]


def test_calculator_gives_what_predict_gives(trained):
    from fw_nnp.core.atoms import to_atoms
    from fw_nnp.core.records import voigt_stress

    item = emt_cells(1, seed=9)[0]
    (label,) = predict(trained, [item.configuration])
    assert label.theory_id.startswith("mdl-")
    atoms = to_atoms(item.configuration)
    atoms.calc = load_calculator(trained)
    assert atoms.get_potential_energy() == label.energy
    assert atoms.get_potential_energy(force_consistent=True) == label.energy
    np.testing.assert_array_equal(atoms.get_forces(), label.forces)
    np.testing.assert_array_equal(atoms.get_stress(), voigt_stress(label.stress))
    atoms.rattle(0.01)
    assert atoms.get_potential_energy() != label.energy


def test_model_file_is_plain_and_says_what_it_is(trained):
    content = torch.load(trained, weights_only=True)
    assert content["schema"] == 1
    card = read_card(trained)
    assert card["elements"] == ["Al"]
    assert card["units"]["energy"] == "eV"
    assert card["training"]["stage"]["name"] == "first"
    with pytest.raises(CheckpointMismatch, match="not a model"):
        read_card(trained.with_name("checkpoint.pt"))
    with pytest.raises(TrainingError, match="no such file"):
        read_card(trained.with_name("absent.pt"))
