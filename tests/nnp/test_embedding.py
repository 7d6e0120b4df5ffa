"""Embedding energies: what they can describe, and models from before there were any."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fw_nnp.core.specs import ModelSpec
from fw_nnp.nnp import predict
from fw_nnp.nnp.artefact import build, load_model, save_model
from fw_nnp.nnp.checkpoint import load, save
from fw_nnp.nnp.embedding import Embedding, typical

from .conftest import SMALL, random_cell, steep


@pytest.fixture
def densities():
    generator = torch.Generator().manual_seed(1)
    smooth = 1.0 / (1.0 + torch.arange(5)).double()
    return Embedding(2, 3, smooth, generator).double()


def test_slopes_are_those_of_the_energies(densities):
    counts = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    energies, slopes = densities.value_and_gradient(densities.densities, counts)
    assert energies.shape == (2, 7)
    for member in range(2):
        (expected,) = torch.autograd.grad(energies[member].sum(), counts, retain_graph=True)
        torch.testing.assert_close(slopes[member], expected)


def test_bonds_get_weaker_the_more_there_are(densities):
    """Of a root of the density, as Finnis and Sinclair's: four times the bonds, twice the energy"""
    with torch.no_grad():
        densities.strengths[:] = torch.tensor([0.0, -1.0])
        counts = torch.zeros(5, 3, dtype=torch.float64)
        counts[0] = torch.tensor([10.0, 40.0, 160.0])
        energies, _ = densities.value_and_gradient(densities.densities, counts)
        first, second, third = (energies - 3.0).T  # E densities, each -(root - 1)
    np.testing.assert_allclose(second / first, 2.0, rtol=1e-3)
    np.testing.assert_allclose(third / second, 2.0, rtol=1e-4)


def test_densities_are_about_one_in_what_a_model_adapts_to(densities):
    counts = 30.0 * torch.rand(5, 50).double()
    with torch.no_grad():
        scaled = densities.densities / typical(densities.densities @ counts)
        torch.testing.assert_close(typical(scaled @ counts), torch.ones(2, 3, 1).double())
    assert typical(torch.zeros(2, 3, 4)).tolist() == [[[1.0]] * 3] * 2  # atoms without neighbours


def test_models_from_before_there_was_an_embedding_still_work(tmp_path):
    model = steep(build(ModelSpec(n_embedded=0, **SMALL), ["Al", "Ni"], 3).double())
    path, old = tmp_path / "model.pt", tmp_path / "old.pt"
    save_model(path, model, {})
    content = load(path)
    card = json.loads(content["card"])
    del card["model"]["n_embedded"]
    content["card"] = json.dumps(card)
    content["state"] = {k: v for k, v in content["state"].items() if "embedding" not in k}
    save(old, content)
    assert load_model(old).spec.n_embedded == 0
    cells = [random_cell(seed) for seed in range(3)]
    for a, b in zip(predict(path, cells), predict(old, cells), strict=True):
        assert a.energy == b.energy
        np.testing.assert_array_equal(a.forces, b.forces)
