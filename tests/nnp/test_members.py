"""How many networks a model has where nobody says, and that few labels are better used so."""

from __future__ import annotations

import numpy as np
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.nnp import predict, predict_members, train_stage
from fw_nnp.nnp.artefact import load_model, read_card
from fw_nnp.nnp.committee import train_apart
from fw_nnp.nnp.members import with_members

from .conftest import SMALL, SMALL_ANI, emt_cells

FIRST = StageSpec(name="first", epochs=2)


@pytest.fixture
def few(cells, monkeypatch):
    """As many labels as are few."""
    monkeypatch.setattr("fw_nnp.nnp.members.FEW_ATOMS", 4 * len(cells))
    return cells


def test_few_labels_make_a_committee_unless_the_model_says(few, small_spec):
    assert with_members(small_spec, FIRST, few, None).members == 4
    assert with_members(small_spec, FIRST, [*few, few[0]], None).members == 1
    cheap = StageSpec(name="pretrain", labels="low")
    assert with_members(small_spec, cheap, few, None).members == 1
    for said in (ModelSpec(members=1, **SMALL), ModelSpec(members=2, **SMALL), SMALL_ANI):
        assert with_members(said, FIRST, few, None) == said


@pytest.mark.parametrize("heads", [[], ["low", "high"]], ids=["plain", "heads"])
def test_later_stages_have_as_many_as_the_first(few, tmp_path, heads):
    spec = ModelSpec(heads=heads, **SMALL)
    first = train_stage(FIRST, spec, few[:8], [], tmp_path / "first", seed=1)
    assert read_card(first.model_path)["model"]["members"] == 4
    later = StageSpec(name="second", start_from="first", epochs=1)
    many = [*few, *few]
    second = train_stage(
        later, spec, many, [], tmp_path / "second", seed=1, start_from=first.model_path
    )
    assert load_model(second.model_path).spec.n_members == 4
    assert len(predict_members(second.model_path, [few[0].configuration])[0]) == 4
    single = ModelSpec(members=1, heads=heads, **SMALL)
    with pytest.raises(SpecError, match="cannot change the architecture: members"):
        train_stage(later, single, few, [], tmp_path / "no", seed=1, start_from=first.model_path)


def test_processes_of_their_own_are_for_as_many(few, small_spec, tmp_path):
    with pytest.raises(SpecError, match="single member"):
        train_apart(FIRST, small_spec, [*few, few[0]], [], tmp_path, seed=1)


def test_committees_err_less_where_labels_are_few(tmp_path):
    """In the mean of three seeds: that of one differs between processors."""
    unseen = emt_cells(64, seed=7)
    stage = StageSpec(name="first", epochs=100)

    def error(members, seed):
        spec = ModelSpec(members=members, **SMALL)
        directory = tmp_path / f"{members}-{seed}"
        path = train_stage(stage, spec, emt_cells(12), [], directory, seed=seed).model_path
        answers = predict(path, [item.configuration for item in unseen])
        off = [a.forces - i.label.forces for a, i in zip(answers, unseen, strict=True)]
        return np.abs(off).mean()

    one, four = (np.mean([error(members, seed) for seed in (1, 2, 3)]) for members in (1, 4))
    assert four < 0.9 * one
