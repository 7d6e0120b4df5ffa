"""SOAP: its kernels against plain torch, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fw_nnp.nnp import soap_kernels
from fw_nnp.nnp.compiled import plain_torch
from fw_nnp.nnp.optimizers import REFRESH, Soap, make_optimizer

SHAPES = [(2, 5, 7), (1, 6, 1), (3, 1, 4), (1, 1, 1), (4, 3), (5,)]


def steps(count: int) -> list[torch.nn.Parameter]:
    """Parameters of all shapes after some steps down random gradients."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.ones(shape)) for shape in SHAPES]
    optimizer = Soap(parameters, 1e-2)
    for _ in range(count):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return parameters


def test_kernels_do_what_plain_torch_does():
    count = 2 * REFRESH + 3  # the bases have turned twice
    ours = steps(count)
    with plain_torch():
        plain = steps(count)
    for mine, theirs in zip(ours, plain, strict=True):
        assert (mine - 1.0).abs().max() > 0.01
        torch.testing.assert_close(mine, theirs, rtol=0.0, atol=2e-5)


@pytest.mark.parametrize("scale", [1.0, 1e-12])
def test_bases_turn_to_the_eigenvectors(scale):
    rng = np.random.default_rng(0)
    size = np.float32(scale) * np.array([8.0, 4.0, 2.0, 1.0, 0.0], np.float32)  # not of full rank
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0].astype(np.float32)
    covariance = (axes * size) @ axes.T
    bases = np.eye(5, dtype=np.float32)[None].copy()
    for _ in range(60):
        soap_kernels.turn(covariance[None], bases, np.ones((1, 5, 2), np.float32))
    np.testing.assert_allclose(bases[0].T @ bases[0], np.eye(5), atol=1e-6)
    turned = bases[0].T @ covariance @ bases[0]
    np.testing.assert_allclose(turned / scale, np.diag(size / scale), atol=1e-5)


def test_second_moments_move_with_their_directions():
    covariance = np.diag([1.0, 3.0, 2.0]).astype(np.float32)[None]
    bases = np.eye(3, dtype=np.float32)[None].copy()
    second = np.array([[[1.0], [3.0], [2.0]]], np.float32)
    soap_kernels.turn(covariance, bases, second)
    assert second.ravel().tolist() == [3.0, 2.0, 1.0]
    assert np.abs(bases[0]).argmax(0).tolist() == [1, 2, 0]


def test_nothing_is_a_basis_of_nothing():
    """Gradients that are zero, of a species that no cell has, leave an orthonormal basis."""
    bases = np.eye(3, dtype=np.float32)[None].copy()
    soap_kernels.turn(np.zeros((1, 3, 3), np.float32), bases, np.ones((1, 3, 1), np.float32))
    np.testing.assert_allclose(bases[0], np.eye(3), atol=1e-6)


def test_badly_conditioned_problems_are_solved_sooner_than_by_adam():
    rng = torch.Generator().manual_seed(1)
    left, right = (
        torch.logspace(0, -1.5, 8)[:, None] * torch.linalg.qr(torch.randn(8, 8, generator=rng)).Q
        for _ in range(2)
    )
    wanted = torch.randn(8, 8, generator=rng)

    def rest(name) -> float:
        weights = torch.nn.Parameter(torch.zeros(8, 8))
        optimizer = make_optimizer(name, [weights], 0.03)
        for _ in range(300):
            optimizer.zero_grad()
            loss = (left @ (weights - wanted) @ right.T).square().sum()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert rest("soap") < 0.1 * rest("adamw")
