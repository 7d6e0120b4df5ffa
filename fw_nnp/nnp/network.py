"""Small networks, one per member of a committee, with the gradient with respect to the input."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

LAST_LAYER = 0.1  # of the usual size, at the start


class Layer(nn.Module):
    """weight (members, out, in) and bias (members, out, 1)."""

    def __init__(
        self, members: int, inputs: int, outputs: int, scale: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        bound = scale * (3.0 / inputs) ** 0.5
        weight = torch.empty(members, outputs, inputs)
        self.weight = nn.Parameter(nn.init.uniform_(weight, -bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.zeros(members, outputs, 1))

    def forward(self, signal: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, self.weight, signal)


class Network(nn.Sequential):
    """Linear layers with tanh between them, and one output; atoms are columns.

    The gradient is written out, so that a loss on forces, which are made of it, needs one
    ordinary backward pass. Layers are called 0, 1, 2 ... from the input to the output; the last
    starts small, so that an untrained network adds little to the surface.

    Parameters
    ----------
    members
        Number of independent networks of this shape.
    sizes
        Number of inputs, then of the units of each hidden layer.
    generator
        Random numbers of the start.
    """

    def __init__(self, members: int, sizes: list[int], generator: torch.Generator) -> None:
        *hidden, last = sizes
        layers = [
            Layer(members, a, b, 1.0, generator)
            for a, b in zip(sizes, [*hidden[1:], last], strict=False)
        ]
        super().__init__(*layers, Layer(members, last, 1, LAST_LAYER, generator))

    @property
    def layers(self) -> list[Layer]:
        """From the input to the output."""
        return cast(list[Layer], list(self))

    def value_and_gradient(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(M, A) outputs and their (M, inputs, A) gradients for (M, inputs, A)."""
        *hidden, last = self.layers
        signal, slopes = inputs, []
        for layer in hidden:
            signal = torch.tanh(layer(signal))
            slopes.append(1.0 - signal * signal)
        gradient = last.weight.mT.expand(-1, -1, inputs.shape[2])
        for layer, slope in zip(reversed(hidden), reversed(slopes), strict=True):
            gradient = layer.weight.mT @ (gradient * slope)
        return last(signal)[:, 0], gradient
