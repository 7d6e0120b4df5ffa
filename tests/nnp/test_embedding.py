"""Embedding energies: what they can describe, and models from before there were any."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fw_nnp.core.records import Configuration
from fw_nnp.core.specs import ModelSpec
from fw_nnp.nnp import linear_forces
from fw_nnp.nnp.artefact import build
from fw_nnp.nnp.compiled import plain_torch
from fw_nnp.nnp.data import read_configuration
from fw_nnp.nnp.embedding import LIMIT, Embedding, bounded, typical

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


def test_linear_terms_are_sums_over_pairs_until_densities_are_unheard_of():
    t = torch.linspace(-LIMIT, LIMIT, 13, dtype=torch.float64)
    kept, slope = bounded(t)
    assert torch.equal(kept, t)
    assert torch.equal(slope, torch.ones_like(t))
    kept, slope = bounded(torch.tensor([-1e4, 1.1 * LIMIT, 1e4]).double())
    assert kept.abs().max() <= 2.0 * LIMIT
    assert kept[0] == -kept[2]
    assert (slope > 0.0).all()


def test_linear_terms_have_four_continuous_derivatives():
    """Divided differences across LIMIT come together as fast as the fifth derivative allows."""
    for h in (1e-2, 1e-3):
        t = torch.linspace(LIMIT - 4 * h, LIMIT + 4 * h, 9, dtype=torch.float64)
        fourth = np.diff(bounded(t)[0].numpy(), 4) / h**4
        assert np.ptp(fourth) <= 40.0 * h


def test_far_beyond_what_was_seen_kernels_agree_with_torch():
    """Atoms so close that densities are bounded: values, forces and slopes in the weights."""
    model = steep(build(ModelSpec(**SMALL), ["Al", "Ni"], 3).double()).train()
    sample = [read_configuration(model, random_cell(seed), torch.float64)[0] for seed in range(4)]
    model.adapt(sample[0])
    near = Configuration(
        cell=np.zeros((3, 3)),
        positions=[[0.0, 0.0, 0.0], [0.0, 0.3, 1.0], [1.1, 0.2, 0.4]],
        numbers=[13, 28, 13],
        pbc=(False, False, False),
    )
    batch, _ = read_configuration(model, near, torch.float64)

    def found():
        energies, forces, virials = model.evaluate(batch)
        (forces.square().sum() + virials.sum() + energies.square().sum()).backward()
        slopes = [parameter.grad.clone() for parameter in model.parameters()]
        model.zero_grad()
        return [energies.detach(), forces.detach(), *slopes]

    with plain_torch():
        expected = found()
        moments = linear_forces.moments(batch, *model._basis)
        densities = model._contractions(0)[2] @ moments[:, 0]
    assert densities.abs().max() > 2.0 * LIMIT
    for mine, theirs in zip(found(), expected, strict=True):
        largest = float(theirs.abs().max())
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-12 * largest)
