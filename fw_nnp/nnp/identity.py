"""What a checkpoint belongs to, part by part so that a message can name what differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fw_nnp.core.hashing import canonical_json, digest
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import AnyModelSpec, StageSpec

from .artefact import FORMAT


def identity_of(
    stage: StageSpec,
    model: AnyModelSpec,
    training: Sequence[LabelledConfiguration],
    validation: Sequence[LabelledConfiguration],
    seed: int,
    start_from: Path | None,
    replay: Sequence[LabelledConfiguration],
) -> dict[str, str]:
    """Digests of everything that decides the result of a stage."""
    return {
        "stage": digest(canonical_json(stage.model_dump(mode="json"))),
        "model": digest(str(FORMAT), canonical_json(model.model_dump(mode="json"))),
        "training labels": _digest_labels(training),
        "validation labels": _digest_labels(validation),
        "replayed labels": _digest_labels(replay),
        "seed": str(seed),
        "starting model": digest(start_from.read_bytes()) if start_from else "",
    }


def _digest_labels(items: Sequence[LabelledConfiguration]) -> str:
    parts: list[bytes | str] = []
    for item in items:
        parts += [item.label.id, repr(item.label.energy)]
        for array in (item.label.forces, item.label.stress):
            parts.append(b"" if array is None else array.tobytes())
    return digest(*parts)
