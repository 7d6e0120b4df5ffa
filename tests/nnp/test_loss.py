"""What the loss makes of errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fw_nnp.core.specs import LossWeights, ModelSpec
from fw_nnp.core.units import GPA
from fw_nnp.nnp.artefact import build
from fw_nnp.nnp.compiled import plain_torch
from fw_nnp.nnp.data import CellSet, read_cell
from fw_nnp.nnp.loss import Targets, errors, loss, residuals
from fw_nnp.nnp.objective import objective
from fw_nnp.nnp.potential import Prediction

from .conftest import SMALL, emt_cells


def taken(weights: LossWeights, phases=("solid", "liquid")):
    """Targets of two cells and a prediction that is off by 1 meV/atom, 0.1 eV/Å and 0.5 GPa."""
    model = build(ModelSpec(**SMALL), ["Al"], 0)
    items = [replace(i, phase=p) for i, p in zip(emt_cells(2), phases, strict=True)]
    _, targets = CellSet([read_cell(model, item, weights) for item in items]).take([0, 1])
    prediction = Prediction(
        energy=targets.energy + 0.001 * targets.n_atoms,
        forces=targets.forces + 0.1,
        stress=targets.stress + 0.5 * GPA,
    )
    return items, targets, residuals(prediction, targets)


def test_every_quantity_counts_in_its_unit():
    weights = LossWeights(energy=7.0, forces=2.0, stress=3.0)
    _, targets, found = taken(weights)
    expected = 7.0 * 0.001**2 + 2.0 * 0.1**2 + 3.0 * 0.5**2
    assert float(loss(found, targets, weights)) == pytest.approx(expected, rel=1e-5)
    assert errors(found, targets).score(weights) == pytest.approx(expected, rel=1e-5)


def test_robust_is_square_for_small_and_linear_for_large_errors():
    for width, expected in ((100.0, 0.1**2), (1e-4, 2 * 1e-4 * 0.1)):
        weights = LossWeights(energy=0.0, stress=0.0, robust=width)
        _, targets, found = taken(weights)
        found = replace(found, forces=found.forces.double())
        assert float(loss(found, targets, weights)) == pytest.approx(expected, rel=2e-3)


def test_a_phase_without_weight_does_not_count():
    weights = LossWeights(energy=0.0, stress=0.0, phases={"liquid": 0.0})
    items, targets, found = taken(weights)
    n = items[0].configuration.n_atoms
    changed = found.forces.clone()
    changed[:, n:] = 1e3  # of the liquid cell
    changed = replace(found, forces=changed)
    assert float(loss(changed, targets, weights)) == pytest.approx(0.01, rel=1e-5)
    assert errors(changed, targets).rmse()["forces"] > 1e5  # what is reported counts all alike


def test_large_forces_count_less():
    weights = LossWeights(energy=0.0, stress=0.0, force_scale=0.5)
    items, targets, found = taken(weights, phases=("", ""))
    sizes = np.linalg.norm(np.concatenate([i.label.forces for i in items]), axis=1)
    shares = 1.0 / (1.0 + sizes / 0.5)
    np.testing.assert_allclose(targets.force_share, shares, rtol=1e-6)
    one = torch.zeros_like(found.forces)
    one[0, 3] = 0.3
    value = float(loss(replace(found, forces=one), targets, weights))
    assert value == pytest.approx(0.09 * shares[3] / shares.sum(), rel=1e-5)


@pytest.mark.parametrize("robust", [None, 0.5])
def test_compiled_loss_is_the_plain_one(robust):
    """Value, errors and slopes, with a committee, phases, absent forces and stress."""
    weights = LossWeights(robust=robust, phases={"liquid": 0.3}, force_scale=1.0)
    model = build(ModelSpec(**SMALL, members=2), ["Al"], 0)
    first, second, third = emt_cells(3)
    items = [
        replace(first, phase="solid", label=replace(first.label, forces=None)),
        replace(second, phase="liquid"),
        replace(third, label=replace(third.label, stress=None)),
    ]
    batch, targets = CellSet([read_cell(model, item, weights) for item in items]).take([0, 1, 2])
    model, batch = model.double().train(), replace(batch, vectors=batch.vectors.double())
    targets = Targets(**{name: part.double() for name, part in vars(targets).items()})

    def found():
        value, wrong = objective(model, batch, targets, weights)
        slopes = torch.autograd.grad(3.0 * value, list(model.parameters()))
        return value, wrong.squares, wrong.counts, torch.cat([slope.flatten() for slope in slopes])

    ours = found()
    with plain_torch():
        plain = found()
    assert ours[0] > 0.1
    assert ours[3].abs().max() > 0.01
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
