"""Two levels of theory in one model: shared up to the last layer, apart from there on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import ModelSpec, ReplaySpec, StageSpec, TrainSpec
from fw_nnp.nnp import load_calculator, predict, train_stage
from fw_nnp.nnp.artefact import build, load_model, model_id, read_card, save_model
from fw_nnp.nnp.card import model_card
from fw_nnp.nnp.data import read_configuration

from .conftest import SMALL, SMALL_ANI, random_cell
from .test_transfer import high

HEADS = ["empirical", "dft"]
SPEC = ModelSpec(heads=HEADS, **SMALL)


@pytest.fixture(scope="module")
def stages(cells, tmp_path_factory):
    """Model files of a stage on cheap labels, and of one on few dear ones that replays them."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("heads")
    labels = high(cells)
    first = StageSpec(name="first", labels="low", epochs=50, learning_rate=1e-2)
    low = train_stage(first, SPEC, cells[:24], cells[40:], place / "low", seed=1)
    second = StageSpec(
        name="second",
        start_from="first",
        epochs=50,
        learning_rate=1e-2,
        replay=ReplaySpec(fraction=0.5, weight=1.0),
    )
    both = train_stage(
        second,
        SPEC,
        labels[:24],
        labels[40:],
        place / "both",
        seed=1,
        start_from=low.model_path,
        replay=cells[:24],
    )
    return low, both


def test_each_head_reproduces_its_own_labels(stages, cells):
    """They are 7 eV per atom and a fifth of the forces apart, and each is nearer to its own."""
    path = stages[1].model_path
    configurations = [item.configuration for item in cells[40:]]
    labels = {"empirical": cells[40:], "dft": high(cells[40:])}
    forces = {}
    for head, own in labels.items():
        found = predict(path, configurations, head=head)
        energies = [a.energy - b.label.energy for a, b in zip(found, own, strict=True)]
        assert np.abs(energies).max() / 4 < 0.05
        forces[head] = np.concatenate([label.forces for label in found])
    true = np.concatenate([item.label.forces for item in labels["empirical"]])
    for head, own, other in (("empirical", 1.0, 1.2), ("dft", 1.2, 1.0)):
        error = np.linalg.norm(forces[head] - own * true)
        assert error < 0.6 * np.linalg.norm(forces[head] - other * true)
    scale = (forces["dft"] * forces["empirical"]).sum() / (forces["empirical"] ** 2).sum()
    assert scale == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize("spec", [SPEC, SMALL_ANI.model_copy(update={"heads": HEADS})])
def test_a_loss_of_one_head_does_not_touch_the_other(spec):
    model = build(spec, ["Al", "Ni"], 3).double().train()
    batch, _ = read_configuration(model, random_cell(0), torch.float64)
    model.adapt(batch)
    model.use_head("empirical")
    found = model(batch)
    (found.energy.sum() + found.forces.square().sum()).backward()
    for name, parameter in model.named_parameters():
        if ".dft." in name:
            assert parameter.grad is None
        elif ".empirical.weight" in name or not name.endswith("bias"):
            assert parameter.grad.abs().max() > 0, name


def test_a_stage_trains_its_own_head_and_the_next_one_starts_from_it(stages):
    low, both = (load_model(result.model_path) for result in stages)
    fresh = build(SPEC, ["Al"], 1)
    assert torch.equal(low.network["Al"][-1]["dft"].weight, fresh.network["Al"][-1]["dft"].weight)
    assert low.reference[1] == 0.0
    assert both.reference[1] - both.reference[0] == pytest.approx(7.0, abs=1.5)
    moved = stages[1].movement
    for head in HEADS:
        assert moved["parameters"][f"network.Al.2.{head}.weight"] > 0.0
    assert set(moved["reference"]) == {"empirical.Al", "dft.Al"}
    assert "network.Al.2.dft" in moved["layers"]
    trained = [read_card(result.model_path)["training"]["heads"] for result in stages]
    assert trained == [["empirical"], HEADS]
    assert "| heads | empirical, dft |" in model_card(stages[1].model_path)


def test_a_frozen_output_layer_stays_and_the_other_moves(stages, cells, tmp_path):
    stage = StageSpec(name="third", start_from="second", epochs=1, freeze=["*.empirical.*"])
    third = train_stage(
        stage, SPEC, high(cells)[:8], [], tmp_path, seed=1, start_from=stages[1].model_path
    )
    moved = third.movement["parameters"]
    assert moved["network.Al.2.empirical.weight"] == 0.0
    assert moved["network.Al.2.dft.weight"] > 0.0


def test_the_last_trained_head_answers_unless_another_is_named(stages, cells):
    low, both = (result.model_path for result in stages)
    cell = cells[0].configuration
    for path, default, other in ((low, "empirical", "dft"), (both, "dft", "empirical")):
        (label,) = predict(path, [cell])
        (named,) = predict(path, [cell], head=default)
        (another,) = predict(path, [cell], head=other)
        assert label.energy == named.energy != another.energy
        assert label.theory_id == model_id(path)
        assert another.theory_id == f"{model_id(path)}-{other}"
    calculator = load_calculator(both, head="empirical")
    assert calculator.model.head == "empirical"
    from fw_nnp.core.atoms import to_atoms

    energy = calculator.get_potential_energy(to_atoms(cell))
    assert energy == pytest.approx(predict(both, [cell], head="empirical")[0].energy, abs=1e-9)


def test_resumed_equals_uninterrupted(stages, cells, tmp_path):
    def run(name, stop=lambda: False):
        stage = StageSpec(name="second", start_from="first", epochs=2, replay=ReplaySpec())
        arguments = (SPEC, high(cells)[:9], [], tmp_path / name)
        start = stages[0].model_path
        return train_stage(stage, *arguments, seed=1, start_from=start, replay=cells[:6], stop=stop)

    whole = load_model(run("whole").model_path).state_dict()
    calls = iter(range(4))
    assert run("parts", lambda: next(calls, None) is None).stopped_early
    parts = load_model(run("parts").model_path).state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_unknown_heads_and_wrong_names_are_refused(stages, trained):
    with pytest.raises(SpecError, match="no head 'dtf' \\(did you mean 'dft'"):
        load_model(stages[1].model_path, "dtf")
    with pytest.raises(SpecError, match="no head 'dft'"):
        load_model(trained, "dft")
    for heads in (["dft"], ["dft", "dft"], ["a", "b", "c"], ["a.b", "c"]):
        with pytest.raises(SpecError, match="heads"):
            parse(TrainSpec, {"model": {"heads": heads}, "stages": []}, place="file")
    with pytest.raises(SpecError, match="'keys'"):
        build(ModelSpec(heads=["keys", "dft"], **SMALL), ["Al"], 0)


def test_a_single_precision_file_keeps_both(tmp_path):
    model = build(SPEC, ["Al", "Ni"], 0)
    model.reference.copy_(torch.tensor([[-1.0, -2.0], [-3.0, -4.0]]))
    save_model(tmp_path / "model.pt", model, {})
    cell = random_cell(0, n=2, elements=(13,), pbc=(False, False, False))
    far = type(cell)(
        cell=cell.cell, positions=cell.positions * 100, numbers=cell.numbers, pbc=cell.pbc
    )
    energies = [predict(tmp_path / "model.pt", [far], head=head)[0].energy for head in HEADS]
    assert energies[0] - energies[1] == pytest.approx(4.0, abs=1e-9)
