"""Members that were trained apart are one committee, and the same as they were alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fw_nnp.cli.main import app
from fw_nnp.core.errors import SpecError
from fw_nnp.core.specs import ModelSpec, PluginSpec, StageSpec
from fw_nnp.nnp import predict, predict_members, train_stage
from fw_nnp.nnp.artefact import build, load_model, model_id, read_card, save_model
from fw_nnp.nnp.batch import join
from fw_nnp.nnp.card import model_card
from fw_nnp.nnp.committee import join_committee, train_apart
from fw_nnp.nnp.data import read_configuration

from .conftest import PLUG_IN, SMALL, eam_tables, random_cell

CELLS = [random_cell(seed, n=2 + seed) for seed in range(4)]


def single(path, seed, **keys):
    """A model file; its features, radial functions and zero of energy are those of other cells."""
    tables = eam_tables() if "baseline" in keys else None
    spec = ModelSpec(**(SMALL | keys))
    model = build(spec, ["Al", "Ni"], seed, tables)
    sample = [read_configuration(model, random_cell(s), torch.float32)[0] for s in range(seed, 9)]
    model.adapt(join(sample))
    zeros = -5000.0 + torch.randn(model.reference.shape, dtype=torch.float64) / (1 + seed)
    model.reference.copy_(zeros)
    save_model(path, model, {"seed": seed, "stage": {"name": "first"}, "complete": seed != 2})
    return path


@pytest.mark.parametrize(
    "keys",
    [{}, {"heads": ["low", "high"]}, {"baseline": eam_tables().spec}],
    ids=lambda keys: next(iter(keys), "plain"),
)
def test_members_are_the_models_that_were_joined(keys, tmp_path):
    paths = [single(tmp_path / f"{seed}.pt", seed, **keys) for seed in range(3)]
    join_committee(paths, tmp_path / "committee.pt")
    for head in keys.get("heads", [""]):
        members = predict_members(tmp_path / "committee.pt", CELLS, head=head)
        mean = predict(tmp_path / "committee.pt", CELLS, head=head)
        alone = [predict(path, CELLS, head=head) for path in paths]
        for i, cell in enumerate(CELLS):
            assert len(members[i]) == 3
            for member, labels in zip(members[i], alone, strict=True):
                atol = 1e-6 * cell.n_atoms  # parameters are kept in single precision
                assert member.energy == pytest.approx(labels[i].energy, rel=0, abs=atol)
                np.testing.assert_allclose(member.forces, labels[i].forces, atol=1e-5)
                np.testing.assert_allclose(member.stress, labels[i].stress, atol=1e-6)
            assert mean[i].energy == pytest.approx(np.mean([m.energy for m in members[i]]))
            assert len({m.energy for m in members[i]}) == 3
    assert load_model(tmp_path / "committee.pt").spec.members == 3


def test_committees_join_and_the_card_names_the_members(tmp_path):
    paths = [single(tmp_path / f"{seed}.pt", seed, members=seed) for seed in (1, 2)]
    join_committee(paths, tmp_path / "three.pt")
    assert len(predict_members(tmp_path / "three.pt", CELLS[:1])[0]) == 3
    training = read_card(tmp_path / "three.pt")["training"]
    assert training["joined"] == [model_id(path) for path in paths]
    assert training["seed"] == [1, 2]
    assert training["complete"] is False
    card = model_card(tmp_path / "three.pt")
    assert f"| joined from | {model_id(paths[0])}, {model_id(paths[1])} |" in card
    assert "no, it was stopped" in card


def test_what_does_not_fit_is_refused(tmp_path):
    first, other = single(tmp_path / "a.pt", 0), single(tmp_path / "b.pt", 1, hidden=[5])
    plug_in = build(PluginSpec(kind=PLUG_IN), ["Al"], 0)
    save_model(tmp_path / "p.pt", plug_in, {})
    for paths, message in (
        ([first], "at least two"),
        ([first, other], "b.pt: not of the architecture"),
        ([tmp_path / "p.pt"] * 2, "have no members"),
    ):
        with pytest.raises(SpecError, match=message):
            join_committee(paths, tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_the_command_joins(tmp_path):
    paths = [str(single(tmp_path / f"{seed}.pt", seed)) for seed in range(2)]
    done = CliRunner().invoke(
        app, ["join-committee", *paths, "--out", str(tmp_path / "committee.pt")]
    )
    assert done.exit_code == 0, done.output
    assert load_model(tmp_path / "committee.pt").spec.members == 2


@pytest.mark.slow
def test_processes_train_what_one_alone_would(cells, tmp_path):
    """Two stages; every member equals a training with its seed, and starts from its own model."""
    torch.set_num_threads(1)
    spec = ModelSpec(members=2, **SMALL)
    parts = (cells[:12], cells[40:44])
    told = []
    first = train_apart(
        StageSpec(name="first", epochs=2),
        spec,
        *parts,
        tmp_path / "first",
        seed=7,
        progress=lambda fraction, newest: told.append((fraction, newest.stage)),
    )
    second = train_apart(
        StageSpec(name="second", start_from="first", epochs=1),
        spec,
        *parts,
        tmp_path / "second",
        seed=7,
        start_from=tmp_path / "first" / "model.pt",
    )
    assert [len(first), len(second)] == [2, 2]
    assert told[-1][1] == "first"
    alone = ModelSpec(**SMALL)
    one = train_stage(StageSpec(name="first", epochs=2), alone, *parts, tmp_path / "alone", seed=8)
    same = load_model(one.model_path).state_dict()
    member = load_model(first[1].model_path).state_dict()
    assert all(torch.equal(same[name], member[name]) for name in same)
    parents = [read_card(result.model_path)["training"]["parent"] for result in second]
    assert parents == [model_id(result.model_path) for result in first]
    members = predict_members(tmp_path / "second" / "model.pt", [cells[0].configuration])[0]
    assert len({member.energy for member in members}) == 2
    with pytest.raises(SpecError, match="single member"):
        train_apart(StageSpec(name="first"), alone, *parts, tmp_path / "no", seed=1)
