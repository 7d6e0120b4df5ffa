"""Teachers: a committee's answers for perturbed cells, and a model that learns from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fw_nnp.core.errors import CheckpointMismatch, SpecError
from fw_nnp.core.records import Configuration
from fw_nnp.core.specs import ModelSpec, StageSpec, TrainSpec
from fw_nnp.nnp import load_calculator, predict, train_stage
from fw_nnp.nnp.artefact import load_model, read_card
from fw_nnp.nnp.card import model_card
from fw_nnp.nnp.teaching import (
    COPIES,
    RATTLE,
    SHARE,
    lessons,
    n_teachers,
    stage_of_taught,
    stage_of_teachers,
)

from .conftest import SMALL, SMALL_ANI, emt_cells

STAGE = StageSpec(name="first", epochs=4, batch_size=8, teachers=2)


UNFIT = (ModelSpec(members=2), ModelSpec(heads=["low", "high"]), SMALL_ANI)


@pytest.fixture(scope="module")
def committee(cells, tmp_path_factory):
    stage = StageSpec(name="first", epochs=6, learning_rate=5e-3)
    spec = ModelSpec(members=2, **SMALL)
    directory = tmp_path_factory.mktemp("committee")
    return train_stage(stage, spec, cells[:40], cells[40:], directory, seed=1).model_path


def test_few_labels_have_teachers_unless_the_stage_says(cells, small_spec, monkeypatch):
    stage = StageSpec(name="first")
    monkeypatch.setattr("fw_nnp.nnp.teaching.TAUGHT_ATOMS", 4 * len(cells))
    assert n_teachers(stage, small_spec, cells) == 4
    assert n_teachers(stage, small_spec, [*cells, cells[0]]) == 0
    assert n_teachers(STAGE, small_spec, [*cells, cells[0]]) == 2
    assert n_teachers(StageSpec(name="first", teachers=0), small_spec, cells) == 0
    for other in UNFIT:
        assert n_teachers(stage, other, cells) == 0
    for other in ({"start_from": "first"}, {"labels": "low"}):
        assert n_teachers(StageSpec(name="second", **other), small_spec, cells) == 0


def test_a_later_stage_has_no_teachers():
    with pytest.raises(ValidationError, match="starts from another has no teachers"):
        StageSpec(name="second", start_from="first", teachers=4)


@pytest.mark.parametrize("model", UNFIT, ids=["committee", "heads", "ani"])
def test_models_that_cannot_be_taught_are_refused_before_anything_runs(model):
    with pytest.raises(SpecError, match="stage 'first' has teachers, but the model"):
        TrainSpec(model=model, stages=[STAGE])


def test_half_of_the_time_is_the_teachers():
    stage = StageSpec(name="first", time_limit="10 min", teachers=4)
    of_teachers, own = stage_of_teachers(stage), stage_of_taught(stage, 10, 30, 1.5)
    assert of_teachers.time_limit == own.time_limit == 300.0
    assert of_teachers.teachers == 0
    assert of_teachers.stress_offset is None
    assert own.stress_offset == 1.5


@pytest.mark.parametrize(("answers", "epochs"), [(60, 30), (57, 30), (20, 60), (3, 60), (0, 60)])
def test_more_cells_to_an_epoch_make_fewer_epochs(answers, epochs):
    stage = StageSpec(name="first", epochs=60)
    assert stage_of_teachers(stage).epochs == 60
    assert stage_of_taught(stage, 20, answers, 0.0).epochs == epochs


def test_a_training_without_teachers_is_not_gone_on_with(cells, small_spec, tmp_path):
    """And that is said before the teachers are trained, not after."""
    parts = cells[:20], cells[40:]
    without = STAGE.model_copy(update={"teachers": 0})
    train_stage(without, small_spec, *parts, tmp_path, seed=1)
    with pytest.raises(CheckpointMismatch, match="stage differ"):
        train_stage(STAGE, small_spec, *parts, tmp_path, seed=1)
    assert not (tmp_path / "teachers").exists()


def test_perfect_crystals_have_no_answers_and_all_their_epochs(small_spec, tmp_path):
    still = []
    for item in emt_cells(8):
        label = replace(item.label, forces=np.zeros((4, 3)))
        still.append(replace(item, label=label))
    result = train_stage(STAGE, small_spec, still, [], tmp_path, seed=1)
    assert read_card(result.model_path)["training"]["taught_cells"] == 0
    assert len(result.history) == STAGE.epochs


def test_answers_are_the_committees_for_cells_nearby(cells, committee):
    taught = lessons(committee, cells, 3, 0.0)
    assert 0.9 * COPIES * len(cells) < len(taught) <= COPIES * len(cells)
    ids = {item.configuration.id for item in taught}
    assert len(ids) == len(taught)
    assert not ids & {item.configuration.id for item in cells}
    answers = predict(committee, [item.configuration for item in taught[:5]])
    for item, answer in zip(taught, answers, strict=False):
        assert item.label.energy == answer.energy
        assert np.array_equal(item.label.forces, answer.forces)
        assert np.array_equal(item.label.stress, answer.stress)
        assert item.label.theory_id == "thy-emt"
        assert item.label.configuration_id == item.configuration.id
    strains = [
        np.linalg.solve(cell.configuration.cell, item.configuration.cell) - np.eye(3)
        for cell, item in zip(cells, taught, strict=False)
    ]
    assert 0.01 < np.std(strains) < 0.03
    assert np.allclose(strains, np.swapaxes(strains, 1, 2))


def test_displacements_shrink_with_the_shortest_distance(committee):
    for distance, largest in ((2.8, RATTLE), (0.8, SHARE * 0.8)):
        item = emt_cells(1)[0]
        dimer = Configuration(
            cell=np.zeros((3, 3)),
            positions=np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]),
            numbers=np.array([13, 13]),
            pbc=(False, False, False),
        )
        forces = np.full((2, 3), 1e6)
        label = replace(item.label, forces=forces, stress=None)
        taught = lessons(committee, [replace(item, configuration=dimer, label=label)] * 100, 1, 0.0)
        moved = np.array([one.configuration.positions - dimer.positions for one in taught])[:, 0]
        assert 0.5 * largest < moved.std() < largest


def test_answers_have_what_the_labels_have(cells, committee):
    bare = [replace(i, label=replace(i.label, forces=None, stress=None)) for i in cells[:3]]
    taught = lessons(committee, bare, 3, 0.0)
    assert len(taught) == 3 * COPIES
    assert all(item.label.forces is None and item.label.stress is None for item in taught)


def test_answers_with_wild_forces_are_left_out(cells, committee, monkeypatch):
    largest = max(np.abs(item.label.forces).max() for item in cells)
    monkeypatch.setattr("fw_nnp.nnp.teaching.BEYOND", 0.5)
    taught = lessons(committee, cells, 3, 0.0)
    assert 0 < len(taught) < COPIES * len(cells)
    assert max(np.abs(item.label.forces).max() for item in taught) <= 0.5 * largest


def test_the_model_is_one_network_and_its_teachers_stay_beside_it(cells, small_spec, tmp_path):
    told = []
    result = train_stage(
        STAGE, small_spec, cells[:20], cells[40:], tmp_path, seed=1, progress=told.append
    )
    assert load_model(result.model_path).spec == small_spec
    teachers = tmp_path / "teachers" / "model.pt"
    assert load_model(teachers).spec.members == 2
    assert load_calculator(teachers).model.spec.members == 2
    card = read_card(result.model_path)["training"]
    assert card["data"]["cells"] == 20
    assert card["taught_cells"] == len(lessons(teachers, cells[:20], 1, 0.0)) > 50
    row = f"| taught by a committee | {card['taught_cells']} perturbed cells |"
    assert row in model_card(result.model_path)
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[3] == 0.5
    assert fractions[-1] == 1.0
    assert len(result.history) == 2


def test_stopped_and_resumed_equals_uninterrupted(cells, small_spec, tmp_path):
    parts = cells[:20], cells[40:]
    whole = train_stage(STAGE, small_spec, *parts, tmp_path / "whole", seed=1)
    for steps in (3, 2, 9):  # twice among the 8 steps of the teachers, then among the model's
        calls = iter(range(steps))
        stopped = train_stage(
            STAGE,
            small_spec,
            *parts,
            tmp_path / "parts",
            seed=1,
            stop=lambda calls=calls: next(calls, None) is None,
        )
        assert stopped.stopped_early
    resumed = train_stage(STAGE, small_spec, *parts, tmp_path / "parts", seed=1)
    assert not resumed.stopped_early
    a, b = (load_model(result.model_path).state_dict() for result in (whole, resumed))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_taught_models_err_less_where_labels_are_few(tmp_path):
    unseen = emt_cells(64, seed=7)
    errors = {}
    for teachers in (0, 4):
        stage = StageSpec(name="first", epochs=100, teachers=teachers)
        spec = ModelSpec(**SMALL)
        few = emt_cells(12)
        path = train_stage(stage, spec, few, [], tmp_path / str(teachers), seed=1).model_path
        answers = predict(path, [item.configuration for item in unseen])
        off = [a.forces - i.label.forces for a, i in zip(answers, unseen, strict=True)]
        errors[teachers] = np.abs(off).mean()
    assert errors[4] < 0.9 * errors[0]
