"""An exported program does what the model does; a card tells where it comes from."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fw_nnp.core.errors import CheckpointMismatch
from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.nnp import predict, train_stage
from fw_nnp.nnp.artefact import build, load_model, model_id, read_card, save_model
from fw_nnp.nnp.batch import join
from fw_nnp.nnp.card import model_card
from fw_nnp.nnp.data import read_configuration
from fw_nnp.nnp.export import arguments_of, export_model
from fw_nnp.nnp.training_data import describe

from .conftest import eam_tables, random_cell

TINY = ModelSpec(cutoff=4.5, n_basis=4, n_radial=2, l_max=2, hidden=[6])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Model file, program file and card of a model of two elements with every fixed term."""
    directory = tmp_path_factory.mktemp("exported")
    tables = eam_tables()
    spec = TINY.model_copy(update={"baseline": tables.spec})
    model = build(spec, ["Al", "Ni"], 3, tables).double()
    model.adapt(join([read_configuration(model, random_cell(s), torch.float64)[0] for s in (0, 1)]))
    model.reference.copy_(torch.tensor([-3.0, -5.0]))
    save_model(directory / "model.pt", model, {})
    card = export_model(directory / "model.pt", directory / "out.pt2")
    return directory / "model.pt", directory / "out.pt2", card


def test_program_equals_the_model_for_other_numbers_of_atoms(exported):
    path, program, _ = exported
    found = torch.export.load(program).module()
    model = load_model(path).double()
    shortest = []
    for cell in [random_cell(seed, n=2 + 3 * seed) for seed in range(5)] + [close_pair()]:
        (label,) = predict(path, [cell])
        with torch.no_grad():
            energies, forces, virials = found(*arguments_of(model, cell))
        assert float(energies.sum()) == pytest.approx(label.energy, rel=1e-10)
        np.testing.assert_allclose(forces, label.forces, rtol=1e-9, atol=1e-9)
        if label.stress is not None:
            stress = virials.sum(0).numpy() / cell.volume
            np.testing.assert_allclose(stress, label.stress, atol=1e-10)
        shortest.append(np.abs(label.forces).max())
    assert shortest[-1] > 50.0  # the repulsion is in it


def close_pair():
    cell = random_cell(0, n=2, pbc=(False, False, False))
    positions = np.array([[0.0, 0.0, 0.0], [0.3, 0.4, 0.7]])
    return type(cell)(cell=cell.cell, positions=positions, numbers=cell.numbers, pbc=cell.pbc)


def test_card_and_signature_lie_in_and_beside_the_program(exported):
    path, program, card = exported
    told = {"card.json": ""}
    torch.export.load(program, extra_files=told)
    content = json.loads(told["card.json"])
    assert content["id"] == model_id(path)
    assert content["elements"] == ["Al", "Ni"]
    assert content["arguments"] == ["vectors", "starts", "neighbours", "reverse", "species"]
    assert card.read_text() == model_card(path)


def test_card_names_data_and_parent(cells, trained, tmp_path):
    stage = StageSpec(name="second", start_from="first", epochs=1)
    spec = load_model(trained).spec
    child = train_stage(stage, spec, cells[:8], cells[8:12], tmp_path, seed=7, start_from=trained)
    training = read_card(child.model_path)["training"]
    assert training["parent"] == model_id(trained)
    assert training["data"] == describe(cells[:8])
    assert training["data"]["elements"] == {"Al": 32}
    assert training["data"]["theories"] == {"thy-emt": 8}
    assert read_card(trained)["training"]["parent"] == ""
    forces = [np.linalg.norm(c.label.forces, axis=1).max() for c in cells[:8]]
    assert training["data"]["ranges"]["force"] == [min(forces), max(forces)]
    text = model_card(child.model_path)
    assert model_id(trained) in text
    assert training["data"]["labels"] in text


def test_order_of_the_labels_does_not_matter_their_identity_does(cells):
    a, b, c = describe(cells[:4]), describe(cells[:4][::-1]), describe(cells[1:5])
    assert a["labels"] == b["labels"] != c["labels"]


def test_a_checkpoint_has_no_card(trained):
    with pytest.raises(CheckpointMismatch, match="not a model"):
        model_card(trained.with_name("checkpoint.pt"))
