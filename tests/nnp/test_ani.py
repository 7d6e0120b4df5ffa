"""The paper's architecture: its features, its keys, its training."""

from __future__ import annotations

from math import acos, cos, exp, pi

import numpy as np
import pytest
import torch

from fw_nnp.core.errors import SpecError
from fw_nnp.core.model_specs import spec_of
from fw_nnp.core.parsing import parse
from fw_nnp.core.records import Configuration
from fw_nnp.core.specs import AniSpec, ModelSpec, PluginSpec, StageSpec, TrainSpec
from fw_nnp.nnp import predict, train_stage
from fw_nnp.nnp.ani_features import features, n_features
from fw_nnp.nnp.artefact import build, load_model
from fw_nnp.nnp.batch import geometry

from .conftest import SMALL_ANI, random_cell


def looped(configuration, elements, cutoff, angular_cutoff):
    """The formulas of Smith et al. (2017), term by term, over images in plain loops."""
    z = len(elements)
    blocks = {pair: i for i, pair in enumerate((a, b) for a in range(z) for b in range(a, z))}
    found = np.zeros((configuration.n_atoms, 22 * z + 32 * len(blocks)))
    reach = [range(-3, 4) if periodic else [0] for periodic in configuration.pbc]
    shifts = [
        np.array([a, b, c]) @ configuration.cell
        for a in reach[0]
        for b in reach[1]
        for c in reach[2]
    ]
    index = [elements.index(symbol) for symbol in configuration.symbols]
    for i, here in enumerate(configuration.positions):
        around = []
        for j, there in enumerate(configuration.positions):
            for shift in shifts:
                vector = there + shift - here
                if 1e-6 < np.linalg.norm(vector) < cutoff:
                    around.append((index[j], vector, np.linalg.norm(vector)))
        for kind, _, r in around:
            for m in range(22):
                s = 0.9 + (cutoff - 0.9) * m / 22
                fade = 0.5 * (1 + cos(pi * r / cutoff))
                found[i, 22 * kind + m] += 0.25 * exp(-16.0 * (r - s) ** 2) * fade
        inner = [n for n in around if n[2] < angular_cutoff]
        for first in range(len(inner)):
            for second in range(first + 1, len(inner)):
                (a, u, r), (b, v, q) = inner[first], inner[second]
                theta = acos(0.95 * (u @ v) / (r * q))
                fade = (
                    0.25 * (1 + cos(pi * r / angular_cutoff)) * (1 + cos(pi * q / angular_cutoff))
                )
                start = 22 * z + 32 * blocks[min(a, b), max(a, b)]
                for m in range(4):
                    s = 0.9 + (angular_cutoff - 0.9) * m / 4
                    shell = exp(-8.0 * ((r + q) / 2 - s) ** 2)
                    for n in range(8):
                        angle = (1 + cos(theta - pi / 16 - n * pi / 8)) ** 32
                        found[i, start + 8 * m + n] += 2.0 ** (1 - 32) * angle * shell * fade
    return found


@pytest.mark.parametrize("elements", [["Ni"], ["Al", "Cu", "Ni"]])
@pytest.mark.parametrize("pbc", [(True, True, True), (False, False, False)])
def test_features_are_the_published_formulas(elements, pbc):
    numbers = {"Al": 13, "Cu": 29, "Ni": 28}
    cell = random_cell(3, n=5, elements=[numbers[e] for e in elements], pbc=pbc)
    batch, _ = geometry(cell, elements, 5.2, torch.float64)
    found = features(batch, 5.2, 3.5).numpy()
    assert found.shape == (5, n_features(len(elements)))
    np.testing.assert_allclose(found, looped(cell, elements, 5.2, 3.5), rtol=1e-10, atol=1e-13)
    assert (np.abs(found) > 1e-3).any(axis=0).sum() > 10


def test_features_are_those_of_torchani():
    """Against AEVComputer of torchani 2.9.0 in float64, for two Al and two Ni in vacuum."""
    cluster = Configuration(
        cell=np.zeros((3, 3)),
        positions=[[0.0, 0.0, 0.0], [2.1, 0.3, -0.4], [-0.5, 2.3, 0.6], [0.7, -0.8, 2.4]],
        numbers=[13, 28, 13, 28],
        pbc=(False, False, False),
    )
    batch, _ = geometry(cluster, ["Al", "Ni"], 5.2, torch.float64)
    found = features(batch, 5.2, 3.5).numpy()
    largest = {
        7: 0.0911685771, 8: 0.135268604, 9: 0.0591061686, 27: 0.0444907437,
        28: 0.141253686, 29: 0.146450746, 30: 0.116894842, 31: 0.123711828,
        32: 0.0530122758, 95: 0.0728638768, 96: 0.145356236, 127: 0.0583044485,
    }  # fmt: skip
    assert sorted(np.argsort(found[0])[-12:]) == list(largest)
    np.testing.assert_allclose(found[0, list(largest)], list(largest.values()), rtol=1e-8)
    sums = [1.3990290524613025, 0.6774445708043331, 0.5585599086230958, 0.5441748747180413]
    np.testing.assert_allclose(found.sum(axis=1), sums, rtol=1e-12)


def test_one_element_has_22_and_32():
    assert n_features(1) == 22 + 32
    model = build(AniSpec(kind="ani"), ["Ni"], 0)
    assert [tuple(p.shape) for p in model.parameters() if p.ndim == 2] == [
        (224, 54),
        (192, 224),
        (160, 192),
        (1, 160),
    ]


def test_straight_lines_have_finite_forces_and_curvature():
    """Angles of 0 and pi, which a crystal is full of: nothing is infinite in training."""
    chain = Configuration(cell=np.diag([2.5, 20.0, 20.0]), positions=np.zeros((1, 3)), numbers=[28])
    model = build(SMALL_ANI, ["Ni"], 0).double().train()
    batch, _ = geometry(chain, ["Ni"], model.cutoff, torch.float64)
    _, _, virials = model.evaluate(batch)
    slopes = torch.autograd.grad(
        virials.square().sum(), list(model.parameters()), allow_unused=True
    )
    found = torch.cat([slope.flatten() for slope in slopes if slope is not None])
    assert torch.isfinite(found).all()
    assert found.abs().max() > 0


def test_learns_and_comes_back_from_its_file(cells, tmp_path):
    stage = StageSpec(name="first", epochs=15)
    result = train_stage(stage, SMALL_ANI, cells[:40], cells[40:], tmp_path, seed=1)
    first, best = result.history[0], result.history[result.best_epoch - 1]
    for name in ("energy", "forces", "stress"):
        assert best[f"validation_{name}"] < 0.6 * first[f"validation_{name}"]
    model = load_model(result.model_path)
    assert model.spec == SMALL_ANI
    (label,) = predict(model, [cells[0].configuration])
    assert np.abs(label.forces - cells[0].label.forces).max() < np.abs(cells[0].label.forces).max()


def test_stage_cannot_change_the_kind(trained, cells, tmp_path):
    stage = StageSpec(name="second", start_from="first", epochs=1)
    with pytest.raises(SpecError, match="kind"):
        train_stage(stage, SMALL_ANI, cells[:8], [], tmp_path, seed=1, start_from=trained)


def training(model):
    return {"model": model, "stages": [{"name": "first"}]}


def test_each_kind_has_its_own_keys():
    paper = parse(TrainSpec, training({"kind": "ani"}), place="file").model
    assert isinstance(paper, AniSpec)
    assert (paper.cutoff, paper.angular_cutoff, paper.hidden) == (6.9, 3.5, [224, 192, 160])
    assert parse(TrainSpec, {"stages": [{"name": "first"}]}, place="file").model == ModelSpec()
    plug_in = parse(TrainSpec, training({"kind": "package.module:Model"}), place="file").model
    assert isinstance(plug_in, PluginSpec)
    assert spec_of("moments") is ModelSpec


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"kind": "ani", "l_max": 3}, "model.l_max: unknown key"),
        ({"kind": "ani", "angular_cutof": 3.0}, "did you mean 'angular_cutoff'"),
        ({"kind": "ani", "cutoff": 3.0}, "angular_cutoff is above cutoff"),
        ({"l_mx": 3}, "did you mean 'l_max'"),
        ({"angular_cutoff": 3.0}, "model.angular_cutoff: unknown key"),
    ],
)
def test_wrong_keys_are_errors(model, message):
    with pytest.raises(SpecError, match=message):
        parse(TrainSpec, training(model), place="file")
