"""Optimisers: SOAP, and AdamW for comparison.

Features of a crystal and of its melt are badly conditioned, and so is what is trained on them.
SOAP (Vyas et al., arXiv:2409.11321) runs Adam in the eigenbasis of Shampoo's preconditioner: for a
weight matrix with gradient G, that of the running averages of G Gᵀ and Gᵀ G. On small networks
like ours it costs little and reaches a given error in a fraction of AdamW's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, overload

import torch
from torch import Tensor

WEIGHT_DECAY = 1e-5
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
        super().__init__(parameters, {"lr": lr, "weight_decay": WEIGHT_DECAY})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step down the gradients that are there."""
        if closure is not None:
            raise NotImplementedError("SOAP takes gradients, not a closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group["lr"], group["weight_decay"])
        return None

    def _update(self, parameter: Tensor, rate: float, decay: float) -> None:
        state = self.state[parameter]
        gradient = parameter.grad
        assert gradient is not None
        if parameter.ndim < 2:
            gradient, parameter = gradient.view(1, -1), parameter.view(1, -1)
        if not state:
            state |= _measure(gradient)
            return
        state["step"] += 1
        step = state["step"]
        left, right = state["left_basis"], state["right_basis"]
        state["first"].lerp_(gradient, 1.0 - BETA)
        state["second"].lerp_(_into(left, gradient, right).square(), 1.0 - BETA)
        change = _into(left, state["first"], right) / (state["second"].sqrt() + TINY)
        size = rate * (1.0 - BETA**step) ** 0.5 / (1.0 - BETA**step)
        parameter.mul_(1.0 - rate * decay)
        parameter.sub_(_out_of(left, change, right), alpha=size)
        state["left"].lerp_(gradient @ gradient.mT, 1.0 - BETA)
        state["right"].lerp_(gradient.mT @ gradient, 1.0 - BETA)
        if step % REFRESH == 0:
            _turn(state)


def _measure(gradient: Tensor) -> dict[str, Any]:
    left, right = gradient @ gradient.mT, gradient.mT @ gradient
    return {
        "step": 0,
        "first": torch.zeros_like(gradient),
        "second": torch.zeros_like(gradient),
        "left": left,
        "right": right,
        "left_basis": torch.linalg.eigh(left).eigenvectors.flip(-1),
        "right_basis": torch.linalg.eigh(right).eigenvectors.flip(-1),
    }


def _into(left: Tensor, matrix: Tensor, right: Tensor) -> Tensor:
    return left.mT @ matrix @ right


def _out_of(left: Tensor, matrix: Tensor, right: Tensor) -> Tensor:
    return left @ matrix @ right.mT


def _turn(state: dict[str, Any]) -> None:
    """One step of orthogonal iteration; what is known of the second moments moves along."""
    for name, axis in (("left", -2), ("right", -1)):
        covariance, basis = state[name], state[f"{name}_basis"]
        image = covariance @ basis
        order = (basis * image).sum(-2).argsort(-1, descending=True)
        columns = order.unsqueeze(-2).expand_as(basis)
        rows = order.unsqueeze(-1 if axis == -2 else -2).expand_as(state["second"])
        state["second"] = state["second"].gather(axis, rows)
        state[f"{name}_basis"] = torch.linalg.qr(image.gather(-1, columns)).Q


def make_optimizer(
    name: Literal["soap", "adamw"], parameters: Iterable[Any], rate: float
) -> torch.optim.Optimizer:
    """The optimiser that a stage names."""
    if name == "soap":
        return Soap(parameters, rate)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=WEIGHT_DECAY, fused=True)
