"""Members of a committee: trained together, independent of each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.nnp import predict, predict_members, train_stage
from fw_nnp.nnp.artefact import build
from fw_nnp.nnp.data import read_configuration

from .conftest import SMALL, random_cell


@pytest.fixture(scope="module")
def committee(cells, tmp_path_factory):
    directory = tmp_path_factory.mktemp("committee")
    spec = ModelSpec(members=3, **SMALL)
    stage = StageSpec(name="first", epochs=4)
    return train_stage(stage, spec, cells[:30], cells[30:], directory, seed=1).model_path


def test_the_prediction_is_the_mean_of_the_members(committee, cells):
    configurations = [item.configuration for item in cells[:5]]
    for label, members in zip(
        predict(committee, configurations), predict_members(committee, configurations), strict=True
    ):
        assert len(members) == 3
        assert len({member.energy for member in members}) == 3
        assert label.energy == pytest.approx(np.mean([m.energy for m in members]), abs=1e-10)
        for name in ("forces", "stress"):
            mean = np.mean([getattr(m, name) for m in members], axis=0)
            np.testing.assert_allclose(getattr(label, name), mean, atol=1e-12)


def test_a_single_model_is_its_only_member(trained, cells):
    configurations = [item.configuration for item in cells[:2]]
    (label, _), ((member,), _) = (
        predict(trained, configurations),
        predict_members(trained, configurations),
    )
    assert member.energy == label.energy
    np.testing.assert_array_equal(member.forces, label.forces)


def test_members_do_not_see_each_other():
    """The loss of one member has no slope in the parameters of another."""
    model = build(ModelSpec(members=3, **SMALL), ["Ni"], 3).double()
    batch, _ = read_configuration(model, random_cell(1, elements=(28,)), torch.float64)
    model.adapt(batch)
    prediction = model.members(batch)
    loss = prediction.energy[1].sum() + prediction.forces[1].square().sum()
    for slope in torch.autograd.grad(loss, list(model.parameters())):
        assert len(slope) == 3
        assert slope[1].abs().max() > 0
        assert slope[0].abs().max() == 0
        assert slope[2].abs().max() == 0


def test_members_start_apart_and_stay_apart(committee):
    from fw_nnp.nnp.artefact import load_model

    for name, parameter in load_model(committee).named_parameters():
        assert not torch.equal(parameter[0], parameter[1]), name
