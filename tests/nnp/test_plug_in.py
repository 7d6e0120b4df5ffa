"""Models from elsewhere: their own keys, and what every model has."""

from __future__ import annotations

import pytest
import torch

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import BaselineSpec, PluginSpec, StageSpec, TrainSpec
from fw_nnp.nnp import predict, train_stage
from fw_nnp.nnp.artefact import build, load_model, read_card
from fw_nnp.nnp.card import model_card

from .conftest import PLUG_IN, eam_file, random_cell
from .plug_in import PairPotential


def spec(**keys):
    content = {"model": {"kind": PLUG_IN, **keys}, "stages": [{"name": "first"}]}
    return parse(TrainSpec, content, place="file").model


def test_settings_reach_the_class_and_come_back_from_the_file(cells, tmp_path):
    own = spec(cutoff=4.5, settings={"n_functions": 7})
    assert isinstance(own, PluginSpec)
    stage = StageSpec(name="first", epochs=3, learning_rate=1e-2)
    result = train_stage(stage, own, cells[:16], cells[40:44], tmp_path, seed=1)
    assert result.history[-1]["train_forces"] < result.history[0]["train_forces"]
    model = load_model(result.model_path)
    assert isinstance(model, PairPotential)
    assert model.strengths.shape == (1, 7)
    assert read_card(result.model_path)["model"]["settings"] == {"n_functions": 7}
    assert "| settings | n_functions 7 |" in model_card(result.model_path)
    (label,) = predict(result.model_path, [cells[0].configuration])
    assert label.energy == pytest.approx(cells[0].label.energy, abs=2.0)


def test_it_has_what_every_model_has(cells, tmp_path):
    """A baseline that is off: the labels of the plug-in's stage are what it leaves."""
    (tmp_path / "NiAl.fs").write_bytes(eam_file())
    own = spec(cutoff=4.5, repulsion=False, baseline={"style": "eam/fs", "file": "NiAl.fs"})
    assert own.baseline == BaselineSpec(style="eam/fs", file="NiAl.fs")
    stage = StageSpec(name="first", epochs=1)
    result = train_stage(stage, own, cells[:8], [], tmp_path / "out", seed=1, base=tmp_path)
    model = load_model(result.model_path).double()
    cell = random_cell(0, elements=(13,))
    with_baseline = predict(model, [cell])[0]
    model.fixed = build(PluginSpec(kind=PLUG_IN, repulsion=False), ["Al"], 0).fixed
    assert abs(predict(model, [cell])[0].energy - with_baseline.energy) > 1.0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"settings": {"n_functons": 7}}, "unexpected keyword argument 'n_functons'"),
        ({"kind": f"{PLUG_IN}s"}, "cannot import"),
    ],
)
def test_wrong_settings_are_named(keys, message):
    with pytest.raises(SpecError, match=message):
        build(PluginSpec(**({"kind": PLUG_IN} | keys)), ["Al"], 0)


def test_keys_of_other_models_and_presets_are_refused():
    with pytest.raises(SpecError, match="l_max: unknown key"):
        spec(l_max=3)
    with pytest.raises(SpecError, match="does not know the layers"):
        StageSpec(name="second", start_from="first", preset="paper").plain(spec())
    with pytest.raises(SpecError, match="cannot have heads"):
        build(spec(heads=["low", "high"]), ["Al"], 0)


def test_another_setting_is_another_training(cells, tmp_path):
    def train(n, **keys):
        stage = StageSpec(name="first", epochs=1)
        settings = {"n_functions": n}
        return train_stage(stage, spec(settings=settings), cells[:4], [], tmp_path, seed=1, **keys)

    torch.manual_seed(0)
    train(4)
    with pytest.raises(Exception, match="model differ"):
        train(5)
