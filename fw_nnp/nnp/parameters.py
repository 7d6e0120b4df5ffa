"""All trained parameters as one vector, and back."""

from __future__ import annotations

import torch
from torch import Tensor


def joined(parameters: list[torch.nn.Parameter]) -> Tensor:
    """All parameters as one vector, a copy."""
    return torch.cat([p.detach().flatten() for p in parameters])


@torch.no_grad()
def write(parameters: list[torch.nn.Parameter], vector: Tensor) -> None:
    """Copy a vector that `joined` made into the parameters."""
    start = 0
    for parameter in parameters:
        parameter.copy_(vector[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()
