"""Recipes of transfer that a stage can name; plain keys of a stage, nothing else."""

from __future__ import annotations

from typing import Any, Literal

from .errors import SpecError
from .model_specs import AniSpec, AnyModelSpec, PluginSpec

Preset = Literal["paper", "gentle"]


def preset_keys(name: Preset, model: AnyModelSpec) -> dict[str, Any]:
    """The keys of a stage that a preset stands for with this model.

    ``paper`` is the recipe of Jung, APL Mach. Learn. 2, 046102 (2024): the first and the last
    layer frozen, and with them what here learns before the first layer; its loss weights are
    taken as weights of errors in our units. ``gentle`` moves everything, but what describes an
    environment, which the cheap labels have taught, more slowly than what the labels are.
    """
    if isinstance(model, PluginSpec):
        raise SpecError(
            f"the preset '{name}' does not know the layers of {model.kind}",
            place="train.stages",
            remedy="write its keys yourself, such as freeze and learning_rates",
        )
    described = [] if isinstance(model, AniSpec) else ["radial.*", "embedding.*"]
    if name == "paper":
        return {
            "freeze": [*described, "network.*.0.*", f"network.*.{len(model.hidden)}.*"],
            "optimizer": "adamw",
            "learning_rate": 1e-4,
            "weight_decay": 0.0,
            "batch_size": 64,
            "epochs": 1000,
            "weights": {"energy": 0.2, "forces": 0.4, "stress": 0.4},
        }
    return {
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "learning_rates": {pattern: 0.3 for pattern in [*described, "network.*.0.*"]},
    }
