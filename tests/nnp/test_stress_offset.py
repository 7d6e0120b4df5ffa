"""A constant in stress labels is found where energies contradict it, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT

from fw_nnp.core.atoms import label_from_calculator
from fw_nnp.core.records import Configuration, LabelledConfiguration
from fw_nnp.core.specs import LossWeights, ModelSpec, StageSpec
from fw_nnp.core.units import GPA
from fw_nnp.nnp import predict, train_stage
from fw_nnp.nnp.artefact import build, read_card
from fw_nnp.nnp.card import model_card
from fw_nnp.nnp.data import CellSet, read_cell
from fw_nnp.nnp.stress_offset import Found, find_offset

from .conftest import SMALL, emt_cells
from .test_training import assert_same_bits

OFFSET = 4.0  # GPa
STAGE = StageSpec(name="first", epochs=40, learning_rate=5e-3)
SEED = 1


def shifted(items, pressure=OFFSET):
    """The same labels with a constant in their normal stresses."""
    constant = pressure * GPA * np.eye(3)
    return [
        replace(item, label=replace(item.label, stress=item.label.stress + constant))
        for item in items
    ]


def train(items, directory, stage=STAGE, members=1, seed=SEED, **more):
    torch.set_num_threads(1)  # fixtures of the module come before that of every test
    spec = ModelSpec(members=members, **SMALL)
    return train_stage(stage, spec, items[:40], items[40:], directory, seed=seed, **more)


def energy_error(result, items):
    predicted = predict(result.model_path, [item.configuration for item in items])
    errors = [
        (p.energy - item.label.energy) / item.configuration.n_atoms
        for p, item in zip(predicted, items, strict=True)
    ]
    return float(np.sqrt(np.mean(np.square(errors))))


@pytest.fixture(scope="module")
def untouched(cells, tmp_path_factory):
    return train(cells, tmp_path_factory.mktemp("untouched"))


@pytest.fixture(scope="module")
def found(cells, tmp_path_factory):
    home = tmp_path_factory.mktemp("found")
    return train(shifted(cells), home)


def test_a_constant_is_found_and_energies_do_not_follow_it(cells, tmp_path):
    """In the mean of three seeds: that of one differs by a half between processors."""
    stages = {
        "untouched": (cells, STAGE),
        "found": (shifted(cells), STAGE),
        "followed": (shifted(cells), STAGE.model_copy(update={"stress_offset": 0.0})),
    }
    offsets, errors = {}, {}
    for name, (items, stage) in stages.items():
        results = [train(items, tmp_path / f"{name}-{s}", stage, seed=s) for s in (1, 2, 3)]
        offsets[name] = [result.stress_offset for result in results]
        errors[name] = np.mean([energy_error(result, cells) for result in results])
    assert offsets["untouched"] == offsets["followed"] == [0.0] * 3
    assert offsets["found"] == pytest.approx([OFFSET] * 3, abs=0.3)
    assert errors["found"] < 1.5 * errors["untouched"]
    assert errors["followed"] > 3.0 * errors["found"]


def test_stresses_are_those_that_belong_to_the_energies(cells, found):
    predicted = predict(found.model_path, [item.configuration for item in cells])
    wrong = [
        np.trace(p.stress - item.label.stress) / 3.0 / GPA
        for p, item in zip(predicted, cells, strict=True)
    ]
    assert abs(np.mean(wrong)) < 0.3


def test_a_known_constant_is_taken_off_from_the_start(cells, untouched, tmp_path):
    known = STAGE.model_copy(update={"stress_offset": OFFSET})
    result = train(shifted(cells), tmp_path, known)
    assert result.stress_offset == OFFSET
    assert energy_error(result, cells) == pytest.approx(energy_error(untouched, cells), rel=0.5)


def test_it_is_on_the_model_card(found, untouched):
    told = read_card(found.model_path)["training"]["stress_offset"]
    assert told == found.stress_offset
    line = f"| constant left out of the stress labels | {told:+.3f} GPa |"
    assert line in model_card(found.model_path)
    assert "left out of the stress labels" not in model_card(untouched.model_path)


def test_stopped_before_and_after_it_was_found_ends_with_the_same_bits(cells, found, tmp_path):
    items = shifted(cells)
    for steps in (70, 110, 200):  # asked after 80, 160 and 240
        calls = iter([False] * steps + [True])
        stopped = train(items, tmp_path, stop=lambda calls=calls: next(calls))
        assert stopped.stopped_early
    resumed = train(items, tmp_path)
    assert resumed.stress_offset == found.stress_offset
    assert_same_bits(resumed.model_path, found.model_path)


def test_a_committee_finds_it_too(cells, tmp_path):
    stage = STAGE.model_copy(update={"epochs": 30})
    result = train(shifted(cells), tmp_path, stage, members=2)
    assert result.stress_offset == pytest.approx(OFFSET, abs=0.4)


def one_volume(count):
    """Rattled cubes: energies say nothing of a pressure."""
    items = []
    for item in emt_cells(count):
        way = item.configuration.positions @ np.linalg.inv(item.configuration.cell)
        configuration = replace(
            item.configuration, cell=4.05 * np.eye(3), positions=way @ (4.05 * np.eye(3))
        )
        items.append(labelled(configuration))
    return items


def labelled(configuration: Configuration) -> LabelledConfiguration:
    label = label_from_calculator(configuration, EMT(), "thy-emt")
    return LabelledConfiguration(configuration=configuration, label=label)


def test_energies_that_say_nothing_leave_the_stresses_at_their_word(tmp_path):
    items = shifted(one_volume(24), 10.0)
    stage = STAGE.model_copy(update={"epochs": 10})
    assert (
        train_stage(stage, ModelSpec(**SMALL), items, [], tmp_path, seed=SEED).stress_offset == 0.0
    )


@pytest.mark.parametrize("name", ["energy", "stress"])
def test_a_model_that_has_not_learned_both_is_not_asked(cells, tmp_path, name):
    weights = LossWeights(**{name: 0.0})
    stage = STAGE.model_copy(update={"epochs": 6, "weights": weights})
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fw_nnp.nnp.stage_run.find_offset", lambda *_: asked.append(1))
        assert train(shifted(cells), tmp_path, stage).stress_offset == 0.0
    assert not asked


def test_labels_without_stress_have_no_constant(cells):
    model = build(ModelSpec(**SMALL), ["Al"], 0)
    bare = [replace(item, label=replace(item.label, stress=None)) for item in cells[:8]]
    found = find_offset(model, CellSet([read_cell(model, one, LossWeights()) for one in bare]))
    assert found == Found(offset=0.0, evidence=0.0)
    assert not found.is_sure


def test_slabs_are_not_asked(cells):
    """Their volume is mostly vacuum, and energies do not rise with it."""
    model = build(ModelSpec(**SMALL), ["Al"], 0)
    slab = replace(cells[0].configuration, cell=4.05 * np.diag([1.0, 1.0, 4.0]))
    sets = [
        CellSet([read_cell(model, item, LossWeights()) for item in items])
        for items in (cells[:20], [*cells[:20], labelled(slab)])
    ]
    for cellset in sets:
        cellset.stress_offset = 1.0
    first, second = (find_offset(model, cellset) for cellset in sets)
    assert second.offset == pytest.approx(first.offset, abs=1e-6)
    assert second.evidence == pytest.approx(first.evidence, rel=1e-6)


@pytest.mark.parametrize(
    ("offset", "evidence", "sure"),
    [(2.0, 20.0, True), (-2.0, 20.0, True), (0.9, 20.0, False), (2.0, 9.0, False)],
)
def test_small_constants_and_weak_evidence_are_none(offset, evidence, sure):
    assert Found(offset=offset, evidence=evidence).is_sure == sure
