"""The model file: one .pt of tensors and JSON, loadable without running code."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import CheckpointMismatch, SpecError
from fw_nnp.core.hashing import digest
from fw_nnp.core.model_specs import AnyModelSpec, ModelSpec, spec_of
from fw_nnp.core.parsing import parse
from fw_nnp.core.registry import did_you_mean
from fw_nnp.potentials.setfl import Setfl, read_setfl

from . import checkpoint
from .fixed import FixedTerms
from .heads import split
from .kernel_cache import announce_compilation
from .models import MODELS
from .potential import Potential

FORMAT = 3
"""Of model files; a new one where `moments` computes otherwise: since 3, other radial functions."""
UNITS = {"energy": "eV", "length": "Å", "stress": "eV/Å³, positive in tension"}


def build(
    spec: AnyModelSpec, elements: list[str], seed: int, baseline: Setfl | None = None
) -> Potential:
    """A fresh model of the kind that `spec` names, with the tables of its baseline."""
    announce_compilation()
    kind, settings = MODELS.get(spec.kind), getattr(spec, "settings", {})
    try:
        signature(kind).bind(spec, elements, seed, **settings)
    except TypeError as error:
        raise SpecError(
            f"not the settings of {spec.kind}: {error}",
            place="model.settings",
            remedy=f"it is made as {kind.__name__}{signature(kind)}",
        ) from error
    model = kind(spec, elements, seed, **settings)
    model.fixed = FixedTerms(spec, elements, baseline)
    if spec.heads:
        split(model, spec.heads)
    return model


def save_model(path: Path, model: Potential, training: dict[str, Any]) -> None:
    """Write `model` with a summary (JSON) of its training."""
    card = {
        "format": FORMAT,
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


def load_model(path: Path, head: str = "") -> Potential:
    """The model of a file that `save_model` wrote, in evaluation mode.

    Parameters
    ----------
    head
        Which one is to answer; by default the last that is trained.

    Raises
    ------
    SpecError
        It has no such head.
    CheckpointMismatch
        Not a model file, or one whose model this version computes otherwise.
    """
    content = _model_file(path)
    card = json.loads(content["card"])
    kind = spec_of(card["model"]["kind"])
    spec = parse(kind, card["model"], place=str(path))
    if isinstance(spec, ModelSpec) and card.get("format", 1) != FORMAT:
        raise CheckpointMismatch(
            f"format {card.get('format', 1)} of model files, which this version would get wrong: "
            f"it computes as in format {FORMAT}",
            place=str(path),
            remedy="train it again, or use it with the fw_nnp that made it",
        )
    baseline = None
    if spec.baseline is not None:
        baseline = read_setfl(spec.baseline, content["baseline"].encode("latin-1"))
    model = build(spec, card["elements"], 0, baseline)
    empty = {name: value for name, value in model.state_dict().items() if value.numel() == 0}
    try:
        model.load_state_dict(empty | content["state"])
    except RuntimeError as error:
        raise CheckpointMismatch(
            f"the numbers do not fit the architecture: {error}", place=str(path)
        ) from error
    if head and head not in spec.heads:
        raise SpecError(
            f"the model has no head '{head}'{did_you_mean(head, spec.heads)}",
            place=str(path),
            remedy=f"its heads: {', '.join(spec.heads) or 'none'}",
        )
    model.use_head(head or _last_head(card))
    return model.eval()


def _last_head(card: dict[str, Any]) -> str:
    """The last head that is trained; empty without heads."""
    heads: list[str] = card["model"].get("heads", [])
    trained = card["training"].get("heads") or heads
    return next((head for head in reversed(heads) if head in trained), "")


def read_card(path: Path) -> dict[str, Any]:
    """Model spec, elements, units and training summary as plain JSON."""
    card: dict[str, Any] = json.loads(_model_file(path)["card"])
    return card


def model_id(path: Path, head: str = "") -> str:
    """``mdl-`` and 32 hex digits over the bytes of the model file; and `head`, if one is named."""
    found = f"mdl-{digest(path.read_bytes())[:32]}"
    return f"{found}-{head}" if head else found


def _model_file(path: Path) -> dict[str, Any]:
    content = checkpoint.load(path)
    if content.get("kind") != "model":
        raise CheckpointMismatch(
            "a training checkpoint, not a model", place=str(path), remedy="name the model.pt"
        )
    return content
