"""A small network that returns its value and the gradient with respect to its input."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Network(nn.Sequential):
    """Linear layers with tanh between them, and one output; atoms are columns.

    The gradient is written out, so that a loss on forces, which are made of it, needs one
    ordinary backward pass. Layers are called 0, 1, 2 ... from the input to the output.

    Parameters
    ----------
    sizes
        Number of inputs, then of the units of each hidden layer.
    generator
        Random numbers of the start.
    """

    def __init__(self, sizes: list[int], generator: torch.Generator) -> None:
        super().__init__(*[nn.Linear(a, b) for a, b in zip(sizes, [*sizes[1:], 1], strict=True)])
        for layer in self:
            bound = (3.0 / layer.in_features) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)

    def value_and_gradient(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(A,) outputs and their (inputs, A) gradients for (inputs, A)."""
        *hidden, last = self
        signal, slopes = inputs, []
        for layer in hidden:
            signal = torch.tanh(torch.addmm(layer.bias[:, None], layer.weight, signal))
            slopes.append(1.0 - signal * signal)
        value = torch.addmm(last.bias[:, None], last.weight, signal)[0]
        gradient = last.weight.T.expand(-1, inputs.shape[1])
        for layer, slope in zip(reversed(hidden), reversed(slopes), strict=True):
            gradient = layer.weight.T @ (gradient * slope)
        return value, gradient
