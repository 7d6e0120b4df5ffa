"""Optimisers: SOAP, and AdamW for comparison.

Features of a crystal and of its melt are badly conditioned, and so is what is trained on them.
SOAP (Vyas et al., arXiv:2409.11321) runs Adam in the eigenbasis of Shampoo's preconditioner: for a
weight matrix with gradient G, that of the running averages of G Gᵀ and Gᵀ G. On small networks
like ours it costs little and reaches a given error in a fraction of AdamW's time. On a processor
the compiled `soap_kernels` do the work, elsewhere plain torch, where the formulas are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import soap_kernels
from .compiled import compiled

BETA = 0.95
"""Memory of SOAP's averages, per step."""
REFRESH = 10
"""Steps between two updates of the eigenbasis."""
TINY = 1e-8


class Soap(torch.optim.Optimizer):
    """Adam in the slowly turning eigenbasis of the gradients' covariance.

    Matrices are parameters of two dimensions; further dimensions in front count matrices that
    are independent of each other, and vectors are matrices of one row. The first step only
    measures the covariance.

    Parameters
    ----------
    parameters
        As any `torch.optim.Optimizer` takes them.
    lr
        Learning rate.
    """

    def __init__(self, parameters: Iterable[Any], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step down the gradients that are there; a closure is of no use to SOAP."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"])

    def _update(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if parameter.ndim < 2:
            gradient, parameter = gradient.view(1, -1), parameter.view(1, -1)
        if not state:
            state |= _measure(gradient)
            return
        state["step"] += 1
        step = state["step"]
        size = rate * (1.0 - BETA**step) ** 0.5 / (1.0 - BETA**step)
        move = _move_compiled if compiled(parameter) else _move
        move(state, parameter, gradient, size)
        if step % REFRESH == 0:
            turn = _turn_compiled if compiled(parameter) else _turn
            for side in _sides(gradient):
                turn(state, side)


def _move(state: dict[str, Any], parameter: Tensor, gradient: Tensor, size: float) -> None:
    """One step, and the averages with it."""
    state["first"].lerp_(gradient, 1.0 - BETA)
    state["second"].lerp_(_into(state, gradient).square_(), 1.0 - BETA)
    change = _into(state, state["first"]).div_(state["second"].sqrt().add_(TINY))
    parameter.sub_(_out_of(state, change), alpha=size)
    for side in _sides(gradient):
        state[side].lerp_(_covariance(gradient, side), 1.0 - BETA)


def _move_compiled(state: dict[str, Any], parameter: Tensor, gradient: Tensor, size: float) -> None:
    none = gradient.new_empty(*gradient.shape[:-2], 0, 0)
    names = ("first", "second", "left", "left_basis", "right", "right_basis")
    arrays = [_stack(t) for t in (parameter, gradient.contiguous())]
    arrays += [_stack(state.get(name, none)) for name in names]
    kind = arrays[0].dtype.type
    soap_kernels.update(*arrays, kind(1.0 - BETA), kind(TINY), kind(size))


def _stack(matrices: Tensor) -> NDArray[np.floating]:
    """(M, rows, columns), not a copy."""
    shape = matrices.shape
    return matrices.detach().view(shape[:-2].numel(), *shape[-2:]).numpy()


def _sides(matrix: Tensor) -> list[str]:
    """The sides that have a basis to turn: a single row or column has none."""
    return [side for side, n in zip(("left", "right"), matrix.shape[-2:], strict=True) if n > 1]


def _covariance(gradient: Tensor, side: str) -> Tensor:
    return gradient @ gradient.mT if side == "left" else gradient.mT @ gradient


def _measure(gradient: Tensor) -> dict[str, Any]:
    """The state after the first gradient."""
    zeros = torch.zeros_like(gradient)
    state: dict[str, Any] = {"step": 0, "first": zeros, "second": zeros.clone()}
    for side in _sides(gradient):
        state[side] = _covariance(gradient, side)
        state[f"{side}_basis"] = torch.linalg.eigh(state[side]).eigenvectors.flip(-1).contiguous()
    return state


def _into(state: dict[str, Any], matrix: Tensor) -> Tensor:
    """`matrix` in the eigenbasis, a copy."""
    if "left" in state:
        matrix = state["left_basis"].mT @ matrix
    return matrix @ state["right_basis"] if "right" in state else matrix.clone()


def _out_of(state: dict[str, Any], matrix: Tensor) -> Tensor:
    """Back from the eigenbasis."""
    if "left" in state:
        matrix = state["left_basis"] @ matrix
    return matrix @ state["right_basis"].mT if "right" in state else matrix


def _turn(state: dict[str, Any], side: str) -> None:
    """One step of orthogonal iteration; what is known of the second moments moves along."""
    basis = state[f"{side}_basis"]
    image = state[side] @ basis
    order = (basis * image).sum(-2).argsort(-1, descending=True)
    axis, other = (-2, -1) if side == "left" else (-1, -2)
    moved = order.unsqueeze(other).expand_as(state["second"])
    state["second"] = state["second"].gather(axis, moved)
    columns = order.unsqueeze(-2).expand_as(basis)
    state[f"{side}_basis"] = torch.linalg.qr(image.gather(-1, columns)).Q


def _turn_compiled(state: dict[str, Any], side: str) -> None:
    second = state["second"]
    rows = second if side == "left" else second.mT.contiguous()
    soap_kernels.turn(_stack(state[side]), _stack(state[f"{side}_basis"]), _stack(rows))
    second.copy_(rows if side == "left" else rows.mT)


def make_optimizer(
    name: Literal["soap", "adamw"], parameters: Iterable[Any], rate: float
) -> torch.optim.Optimizer:
    """The optimiser that a stage names."""
    if name == "soap":
        return Soap(parameters, rate)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0, fused=True)
