"""The model file: one .pt of tensors and JSON, loadable without running code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import CheckpointMismatch
from fw_nnp.core.hashing import digest
from fw_nnp.core.model_specs import AnyModelSpec, spec_of
from fw_nnp.core.parsing import parse
from fw_nnp.potentials.setfl import Setfl, read_setfl

from . import checkpoint
from .fixed import FixedTerms
from .kernel_cache import announce_compilation
from .models import MODELS
from .potential import Potential

UNITS = {"energy": "eV", "length": "Å", "stress": "eV/Å³, positive in tension"}


def build(
    spec: AnyModelSpec, elements: list[str], seed: int, baseline: Setfl | None = None
) -> Potential:
    """A fresh model of the kind that `spec` names, with the tables of its baseline."""
    announce_compilation()
    model = MODELS.get(spec.kind)(spec, elements, seed)
    model.fixed = FixedTerms(spec, elements, baseline)
    return model


def save_model(path: Path, model: Potential, training: dict[str, Any]) -> None:
    """Write `model` with a summary (JSON) of its training."""
    card = {
        "model": model.spec.model_dump(mode="json"),
        "elements": model.elements,
        "units": UNITS,
        "training": training,
    }
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    content = {"kind": "model", "card": json.dumps(card), "state": state}
    if model.fixed.eam is not None:  # so that the file is all that a user needs
        content["baseline"] = model.fixed.eam.tables.data.decode("latin-1")
    checkpoint.save(path, content)


def load_model(path: Path) -> Potential:
    """The model of a file that `save_model` wrote, in evaluation mode."""
    content = _model_file(path)
    card = json.loads(content["card"])
    spec = parse(spec_of(card["model"]["kind"]), card["model"], place=str(path))
    baseline = None
    if spec.baseline is not None:
        baseline = read_setfl(spec.baseline, content["baseline"].encode("latin-1"))
    model = build(spec, card["elements"], 0, baseline)
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
