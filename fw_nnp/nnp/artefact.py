"""The model file: one .pt of tensors and JSON, loadable without running code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import CheckpointMismatch
from fw_nnp.core.hashing import digest
from fw_nnp.core.model_specs import AnyModelSpec, spec_of
from fw_nnp.core.parsing import parse

from . import checkpoint
from .kernel_cache import announce_compilation
from .models import MODELS
from .potential import Potential

UNITS = {"energy": "eV", "length": "Å", "stress": "eV/Å³, positive in tension"}


def build(spec: AnyModelSpec, elements: list[str], seed: int) -> Potential:
    """A fresh model of the kind that `spec` names."""
    announce_compilation()
    return MODELS.get(spec.kind)(spec, elements, seed)


def save_model(path: Path, model: Potential, training: dict[str, Any]) -> None:
    """Write `model` with a summary (JSON) of its training."""
    card = {
        "model": model.spec.model_dump(mode="json"),
        "elements": model.elements,
        "units": UNITS,
        "training": training,
    }
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    checkpoint.save(path, {"kind": "model", "card": json.dumps(card), "state": state})


def load_model(path: Path) -> Potential:
    """The model of a file that `save_model` wrote, in evaluation mode."""
    content = _model_file(path)
    card = json.loads(content["card"])
    spec = parse(spec_of(card["model"]["kind"]), card["model"], place=str(path))
    model = build(spec, card["elements"], seed=0)
    try:
        model.load_state_dict(content["state"])
    except RuntimeError as error:
        raise CheckpointMismatch(
            f"the numbers do not fit the architecture: {error}", place=str(path)
        ) from error
    return model.eval()


def read_card(path: Path) -> dict[str, Any]:
    """Model spec, elements, units and training summary as plain JSON."""
    card: dict[str, Any] = json.loads(_model_file(path)["card"])
    return card


def model_id(path: Path) -> str:
    """``mdl-`` and 32 hex digits over the bytes of the model file."""
    return f"mdl-{digest(path.read_bytes())[:32]}"


def _model_file(path: Path) -> dict[str, Any]:
    content = checkpoint.load(path)
    if content.get("kind") != "model":
        raise CheckpointMismatch(
            "a training checkpoint, not a model", place=str(path), remedy="name the model.pt"
        )
    return content
