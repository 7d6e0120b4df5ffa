"""A small network that returns its value and the gradient with respect to its input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAST_LAYER = 0.1  # of the usual size, at the start


class Network(nn.Sequential):
    """Linear layers with tanh between them, and one output; atoms are columns.

    The gradient is written out, so that a loss on forces, which are made of it, needs one
    ordinary backward pass. Layers are called 0, 1, 2 ... from the input to the output; the last
    starts small, so that an untrained network adds little to the surface.

    Parameters
    ----------
    sizes
        Number of inputs, then of the units of each hidden layer.
    generator
        Random numbers of the start.
    """

    def __init__(self, sizes: list[int], generator: torch.Generator) -> None:
        super().__init__(*[nn.Linear(a, b) for a, b in zip(sizes, [*sizes[1:], 1], strict=True)])
        *hidden, last = self.layers()
        for layer in [*hidden, last]:
            bound = (3.0 / layer.in_features) ** 0.5 * (LAST_LAYER if layer is last else 1.0)
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)

    def layers(self) -> list[nn.Linear]:
        """From the input to the output."""
        return [layer for layer in self if isinstance(layer, nn.Linear)]

    def value_and_gradient(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(A,) outputs and their (inputs, A) gradients for (inputs, A)."""
        *hidden, last = self.layers()
        signal, slopes = inputs, []
        for layer in hidden:
            signal = torch.tanh(torch.addmm(layer.bias[:, None], layer.weight, signal))
            slopes.append(1.0 - signal * signal)
        value = torch.addmm(last.bias[:, None], last.weight, signal)[0]
        gradient = last.weight.T.expand(-1, inputs.shape[1])
        for layer, slope in zip(reversed(hidden), reversed(slopes), strict=True):
            gradient = layer.weight.T @ (gradient * slope)
        return value, gradient
