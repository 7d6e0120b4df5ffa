"""Radial functions: what they are, and what a model makes of them."""

from __future__ import annotations

import numpy as np
import torch

from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.nnp.artefact import build
from fw_nnp.nnp.batch import join
from fw_nnp.nnp.data import read_configuration
from fw_nnp.nnp.radial import radial_functions
from fw_nnp.nnp.schedule import weight_decay

from .conftest import SMALL, random_cell

CUTOFF = 6.0


def test_they_are_cosines_of_an_angle_that_grows_with_distance():
    x = torch.linspace(0.05, 0.95, 50, dtype=torch.float64)
    values, _ = radial_functions(CUTOFF * x[None], CUTOFF, 6)
    angle = torch.arccos(values[0, 1] / values[0, 0])
    for k, row in enumerate(values[0] / values[0, 0]):
        torch.testing.assert_close(row, torch.cos(k * angle))
    h = 1e-6
    moved = [radial_functions(CUTOFF * (x + d)[None], CUTOFF, 2)[0][0] for d in (-h, h)]
    before, after = (torch.arccos(pair[1] / pair[0]) for pair in moved)
    expected = 4.0 / torch.sqrt(2.0 - x * x)
    torch.testing.assert_close((after - before) / (2 * h), expected, rtol=1e-6, atol=0)


def test_slopes_are_those_of_the_functions():
    r = torch.linspace(0.3, 7.0, 40, dtype=torch.float64)[None].requires_grad_()
    values, slopes = radial_functions(r, CUTOFF, 6)
    for k in range(6):
        (expected,) = torch.autograd.grad(values[0, k].sum(), r, retain_graph=True)
        torch.testing.assert_close(slopes[0, k], expected[0])
    assert values.detach()[0, :, r[0] > CUTOFF].abs().max() == 0.0


def test_those_of_a_model_are_orthonormal_over_its_pairs():
    model = build(ModelSpec(**SMALL), ["Al", "Ni"], 3).double()
    batch = join(
        [read_configuration(model, random_cell(seed), torch.float64)[0] for seed in range(8)]
    )
    model.adapt(batch)
    values, _ = radial_functions(batch.vectors.norm(dim=1)[None], model.cutoff, 6)
    own = (model.conditioner @ values[0]).numpy()
    products = own @ own.T / batch.n_atoms
    np.testing.assert_allclose(products, np.eye(6), atol=0.02)  # but for what keeps them finite


def test_few_labels_hold_fast_functions_back_and_many_do_not():
    model = build(ModelSpec(**SMALL), ["Al", "Ni"], 0)
    rough = model.roughness()
    learned = dict(model.named_parameters())
    assert {name for name in learned if name.endswith(("pairs", "cubic", "densities"))} == set(
        rough
    )
    for name, each in rough.items():
        assert each.tolist() == [*range(SMALL["n_basis"])] * 2
        assert learned[name].shape[-1] == len(each)
    stage, each = StageSpec(name="one", weight_decay=0.1), torch.tensor([0.0, 1.0, 5.0])
    few, some, many = (weight_decay(stage, atoms, each) for atoms in (400, 25_000, 40_000))
    torch.testing.assert_close(few, torch.tensor([0.1, 0.199, 0.595]))
    torch.testing.assert_close(some, torch.tensor([0.08, 0.11, 0.23]))
    torch.testing.assert_close(many, torch.tensor([0.05, 0.05, 0.05]))
