"""How many networks a model is made of where its spec leaves that out.

Trained on few labels, networks err each in its own way, and their mean errs less than any of them
in energies and forces alike; where labels are many, one is nearly as good and predicts faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import AnyModelSpec, ModelSpec, StageSpec

from .artefact import read_card

COMMITTEE = 4
"""Members where labels are few; eight have errors that are hardly smaller."""
FEW_ATOMS = 40_000
"""Labelled atoms up to which labels are few."""


def with_members(
    model: AnyModelSpec,
    stage: StageSpec,
    training: Sequence[LabelledConfiguration],
    start_from: Path | None,
) -> AnyModelSpec:
    """The same model with its `members` written out, as `ModelSpec` says; other kinds as they are.

    A later stage has as many as the model at `start_from`.
    """
    if not isinstance(model, ModelSpec) or model.members is not None:
        return model
    if start_from is not None:
        members = read_card(start_from)["model"].get("members")
    else:
        n_atoms = sum(item.configuration.n_atoms for item in training)
        few = stage.labels == "high" and n_atoms <= FEW_ATOMS
        members = COMMITTEE if few else 1
    return model.model_copy(update={"members": members})
