"""Two levels of theory in one model: each has an output layer and reference energies of its own.

What comes before is shared, so that many cheap labels teach it together with few expensive ones,
and neither has to be right about the other's energies.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from fw_nnp.core.errors import SpecError
from fw_nnp.core.specs import AnyModelSpec, StageSpec


class Heads(nn.ModuleDict):
    """Output layers by name; it acts as the one that is in use.

    Parameters
    ----------
    layer
        All start as copies of it.
    names
        The last one is in use at first.
    """

    def __init__(self, layer: nn.Module, names: Sequence[str]) -> None:
        try:
            super().__init__({name: deepcopy(layer) for name in names})
        except KeyError as error:
            raise SpecError(
                f"{error} is taken", place="model.heads", remedy="call the head differently"
            ) from error
        self.used = names[-1]

    @property
    def weight(self) -> Tensor:
        return cast(Tensor, self[self.used].weight)

    @property
    def bias(self) -> Tensor:
        return cast(Tensor, self[self.used].bias)

    def forward(self, signal: Tensor) -> Tensor:
        return cast(Tensor, self[self.used](signal))


def split(model: nn.Module, names: Sequence[str]) -> None:
    """Give every network of `model` an output layer for each of `names`.

    Raises
    ------
    SpecError
        The networks are not where those of our models are.
    """
    networks = getattr(model, "network", None)
    if not isinstance(networks, nn.ModuleDict):
        raise SpecError(
            "this kind of model cannot have heads",
            place="model.heads",
            remedy="a plug-in keeps its layers in self.network, a ModuleDict of lists per element",
        )
    for layers in networks.values():
        assert isinstance(layers, nn.Sequential | nn.ModuleList)
        layers[-1] = Heads(layers[-1], names)


def used_by(stage: StageSpec, spec: AnyModelSpec) -> tuple[str, str]:
    """The heads of a stage's own labels and of those that it replays; empty without heads."""
    if not spec.heads:
        return "", ""
    low, high = spec.heads
    return (low if stage.labels == "low" else high), low


@torch.no_grad()
def inherit(model: nn.Module, heir: str, from_head: str) -> None:
    """Let the output layers of a head start as those of another."""
    for module in model.modules():
        if isinstance(module, Heads):
            module[heir].load_state_dict(module[from_head].state_dict())


def hold(model: nn.Module, used: Sequence[str]) -> None:
    """Keep the output layers of all heads but `used` as they are."""
    for module in model.modules():
        if isinstance(module, Heads):
            for name, layer in module.items():
                if name not in used:
                    layer.requires_grad_(False)
