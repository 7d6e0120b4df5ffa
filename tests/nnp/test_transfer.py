"""Transfer: what is frozen stays, rates act, old labels come back, and the report is true."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fw_nnp.core.errors import SpecError, TrainingError
from fw_nnp.core.parsing import parse
from fw_nnp.core.records import Label
from fw_nnp.core.specs import ModelSpec, ReplaySpec, StageSpec, TrainSpec
from fw_nnp.nnp import predict, train_stage
from fw_nnp.nnp.artefact import build, load_model, read_card
from fw_nnp.nnp.replay import replayed, replayed_per_step
from fw_nnp.nnp.transfer import freeze, groups_of

from .conftest import SMALL, SMALL_ANI


def state_of(path):
    return load_model(path).state_dict()


def high(cells, offset=7.0):
    """Another level of theory: forces and stress 20 % up, another zero of energy per atom."""
    items = []
    for item in cells:
        label = item.label
        items.append(
            replace(
                item,
                label=Label(
                    configuration_id=label.configuration_id,
                    theory_id="thy-high",
                    energy=1.2 * label.energy + 4 * offset,
                    forces=1.2 * label.forces,
                    stress=1.2 * label.stress,
                ),
            )
        )
    return items


@pytest.fixture(scope="module")
def labels(cells):
    return high(cells)


@pytest.fixture
def transfer(trained, cells, small_spec, labels, tmp_path):
    """Train a stage from the first one's model."""

    def run(directory="out", replay_labels=(), stop=lambda: False, **keys):
        stage = StageSpec(name="second", start_from="first", **keys)
        return train_stage(
            stage,
            small_spec,
            labels[:16],
            labels[40:],
            tmp_path / directory,
            seed=1,
            start_from=trained,
            replay=replay_labels,
            stop=stop,
        )

    return run


# ---------------------------------------------------------------- presets


def spec_with(stage, model=None):
    stages = [{"name": "first"}, {"name": "second", "start_from": "first", **stage}]
    return parse(TrainSpec, {"model": model or {}, "stages": stages}, place="file").stages[1]


def test_the_preset_of_the_paper_is_plain_keys():
    stage = spec_with({"preset": "paper"})
    assert stage.preset is None
    assert stage.freeze == ["radial.*", "embedding.*", "network.*.0.*", "network.*.2.*"]
    assert stage.learning_rate == 1e-4
    assert stage.weights.model_dump(include={"energy", "forces", "stress"}) == {
        "energy": 0.2,
        "forces": 0.4,
        "stress": 0.4,
    }
    assert stage.name == "second"
    assert stage.start_from == "first"
    again = parse(StageSpec, stage.model_dump(mode="json"), place="store")
    assert again == stage


def test_the_last_layer_is_that_of_the_model():
    assert spec_with({"preset": "paper"}, {"kind": "ani"}).freeze == [
        "network.*.0.*",
        "network.*.3.*",
    ]


@pytest.mark.parametrize("hidden", [[6], [6, 5], [6, 5, 4], [3] * 11])
@pytest.mark.parametrize("model", [ModelSpec(**SMALL), SMALL_ANI])
def test_the_paper_preset_frees_what_lies_between_the_first_and_the_last_layer(model, hidden):
    model = model.model_copy(update={"hidden": hidden})
    built = build(model, ["Al", "Ni"], 0)
    patterns = StageSpec(name="second", start_from="first", preset="paper").plain(model).freeze
    free = {f"network.{e}.{i}." for e in ("Al", "Ni") for i in range(1, len(hidden))}
    if not free:
        with pytest.raises(SpecError, match="nothing is left"):
            freeze(built, patterns)
        return
    frozen = freeze(built, patterns)
    left = set(dict(built.named_parameters())) - set(frozen)
    assert {name.removesuffix("weight").removesuffix("bias") for name in left} == free


def test_own_keys_go_before_the_preset():
    stage = spec_with({"preset": "paper", "learning_rate": 2e-4, "freeze": ["network.*.0.*"]})
    assert (stage.learning_rate, stage.freeze) == (2e-4, ["network.*.0.*"])
    assert stage.optimizer == "adamw"


def test_the_gentle_preset_slows_the_descriptor():
    stage = spec_with({"preset": "gentle"})
    assert stage.freeze == []
    assert 0 < stage.learning_rates["radial.*"] < 1


def test_unknown_presets_are_refused():
    with pytest.raises(SpecError, match="preset"):
        spec_with({"preset": "papier"})


def test_the_paper_preset_trains_the_middle_only(transfer, trained):
    path = transfer(preset="paper", epochs=2, batch_size=8).model_path
    old, new = state_of(trained), state_of(path)
    for name in ("network.Al.0.weight", "network.Al.2.bias", "radial.Al.cubic", "radial.Al.pairs"):
        assert torch.equal(old[name], new[name])
    assert not torch.equal(old["network.Al.1.weight"], new["network.Al.1.weight"])
    assert read_card(path)["training"]["stage"]["preset"] is None


def test_the_paper_preset_fits_the_model_of_the_paper(cells, labels, tmp_path):
    first = train_stage(
        StageSpec(name="first", epochs=1), SMALL_ANI, cells[:8], [], tmp_path / "a", seed=1
    )
    stage = StageSpec(name="second", start_from="first", preset="paper", epochs=1)
    second = train_stage(
        stage,
        SMALL_ANI,
        labels[:8],
        [],
        tmp_path / "b",
        seed=1,
        start_from=first.model_path,
    )
    still = {name for name, value in second.movement["parameters"].items() if value == 0.0}
    assert still == {
        f"network.Al.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }


# ---------------------------------------------------------------- rates


def test_parameters_are_grouped_by_the_first_pattern(trained):
    model = load_model(trained)
    groups = groups_of(model, {"network.*.bias": 0.5, "network.*": 0.1})
    found = {group["factor"]: {id(p) for p in group["params"]} for group in groups}
    expected = {1.0: set(), 0.5: set(), 0.1: set()}
    for name, parameter in model.named_parameters():
        in_network = 0.5 if name.endswith("bias") else 0.1
        expected[in_network if name.startswith("network") else 1.0].add(id(parameter))
    assert found == expected
    with pytest.raises(SpecError, match="no parameter matches 'ntwork"):
        groups_of(model, {"ntwork.*": 0.1})


@pytest.mark.parametrize("optimizer", ["soap", "adamw"])
def test_a_smaller_rate_moves_less(transfer, optimizer):
    moved = {}
    for factor in (1.0, 1e-3):
        result = transfer(
            directory=str(factor),
            epochs=2,
            optimizer=optimizer,
            learning_rate=1e-3,
            learning_rates={"radial.*": factor},
        )
        moved[factor] = result.movement["parameters"]
    for name in ("radial.Al.pairs", "radial.Al.cubic"):
        assert moved[1e-3][name] == pytest.approx(1e-3 * moved[1.0][name], rel=0.9)
    assert moved[1e-3]["network.Al.1.weight"] > 0.5 * moved[1.0]["network.Al.1.weight"]


def test_the_history_tells_the_rate_itself(transfer):
    result = transfer(epochs=1, learning_rate=1e-3, learning_rates={"*": 0.125})
    assert 0 < result.history[0]["learning_rate"] <= 1e-3
    plain = transfer(directory="plain", epochs=1, learning_rate=1e-3)
    assert result.history[0]["learning_rate"] == plain.history[0]["learning_rate"]


# ---------------------------------------------------------------- replay


@pytest.mark.parametrize(
    ("fraction", "batch_size", "expected"),
    [(0.25, 4, 1), (0.5, 8, 4), (0.01, 8, 1), (0.9, 2, 1), (0.99, 8, 7)],
)
def test_replay_takes_its_share_of_every_step(fraction, batch_size, expected):
    replay = ReplaySpec(fraction=fraction)
    stage = StageSpec(name="second", start_from="first", replay=replay, batch_size=batch_size)
    assert replayed_per_step(stage) == expected
    assert replayed_per_step(StageSpec(name="second")) == 0


def test_all_have_their_turn_and_the_order_is_seeded():
    steps = replayed(10, 2, 7, seed=3, epoch=5)
    assert [len(step) for step in steps] == [2] * 7
    turns = [index for step in steps for index in step]
    assert sorted(turns[:10]) == list(range(10))
    assert turns[10:] == turns[:4]
    assert replayed(10, 2, 7, seed=3, epoch=5) == steps
    assert replayed(10, 2, 7, seed=3, epoch=6) != steps


def test_the_old_labels_are_forgotten_less(transfer, cells):
    """With energies on unrelated scales, and judged on forces, which have none."""
    errors = []
    for keys in ({}, {"replay": ReplaySpec(fraction=0.5, weight=1.0)}):
        result = transfer(
            directory=str(len(keys)),
            epochs=30,
            learning_rate=3e-3,
            **keys,
            **({"replay_labels": cells[:40]} if keys else {}),
        )
        found = predict(result.model_path, [item.configuration for item in cells[40:]])
        old = [item.label.forces for item in cells[40:]]
        errors.append(
            np.mean([((a.forces - b) ** 2).mean() for a, b in zip(found, old, strict=True)])
        )
        assert result.history[-1]["validation_energy"] < 500.0
    assert errors[1] < 0.8 * errors[0]


def test_replay_stopped_and_resumed_equals_uninterrupted(transfer, cells):
    keys = {
        "epochs": 3,
        "replay": ReplaySpec(fraction=0.5),
        "replay_labels": cells[:11],
        "learning_rates": {"radial.*": 0.3},
    }
    whole = transfer(directory="whole", **keys)
    calls = iter(range(5))  # in the middle of an epoch of 8 steps
    stopped = transfer(directory="parts", stop=lambda: next(calls, None) is None, **keys)
    assert stopped.stopped_early
    resumed = transfer(directory="parts", **keys)
    assert not resumed.stopped_early
    a, b = state_of(whole.model_path), state_of(resumed.model_path)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert whole.movement == resumed.movement


def test_replay_needs_labels_and_a_stage_that_can(transfer, cells):
    with pytest.raises(TrainingError, match="0 labels to replay"):
        transfer(replay=ReplaySpec())
    with pytest.raises(TrainingError, match="replays nothing"):
        transfer(replay_labels=cells[:4])
    for keys in ({"start_from": None}, {"labels": "low"}, {"batch_size": 1}):
        with pytest.raises(SpecError, match="replay is of low labels"):
            spec_with({"replay": {}, **keys})


# ---------------------------------------------------------------- the report


def test_what_is_frozen_has_moved_nowhere(transfer, trained):
    result = transfer(epochs=1, freeze=["network.*.0.*"])
    moved = result.movement
    assert moved["parameters"]["network.Al.0.weight"] == 0.0
    assert moved["layers"]["network.Al.0"] == 0.0
    assert moved["layers"]["network.Al.1"] > 0.0
    old, new = state_of(trained), state_of(result.model_path)
    name = "network.Al.1.weight"
    change = float((new[name] - old[name]).norm() / old[name].norm())
    assert moved["parameters"][name] == pytest.approx(change, rel=1e-6)
    assert moved["reference"]["Al"] == pytest.approx(float(new["reference"] - old["reference"]))


def test_the_report_is_in_the_card_and_beside_the_model(transfer, trained):
    result = transfer(epochs=1)
    beside = json.loads((result.model_path.parent / "movement.json").read_text())
    assert beside == result.movement
    assert read_card(result.model_path)["training"]["movement"] == result.movement
    assert read_card(trained)["training"]["movement"] == {}
    assert not (trained.parent / "movement.json").exists()
    assert set(beside["layers"]) == {f"network.Al.{i}" for i in range(len(SMALL["hidden"]) + 1)}
