"""Files that are whole or absent: a temporary file, fsync, then a rename."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fw_nnp.core.errors import CheckpointMismatch, TrainingError

SCHEMA = 1
NAME = "checkpoint.pt"


def save(path: Path, content: dict[str, Any]) -> None:
    """Write plain data and tensors to `path`, replacing it in one step.

    Raises
    ------
    TrainingError
        The disk is full or not writable; what was there before is untouched.
    """
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **content}, buffer)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TrainingError(
            f"cannot write {len(buffer.getbuffer()) / 1e6:.1f} MB: {error.strerror or error}",
            place=str(path),
            remedy="make room or choose another directory, then start again: training goes on "
            "from the last checkpoint",
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Content of a file that `save` wrote.

    Raises
    ------
    TrainingError
        No such file, or not one of ours.
    CheckpointMismatch
        Written by another schema.
    """
    if not path.is_file():
        raise TrainingError("no such file", place=str(path))
    remedy = "delete the file and train again, or name a file that fw_nnp wrote"
    if not zipfile.is_zipfile(path):
        raise TrainingError("cannot be read: cut short or foreign", place=str(path), remedy=remedy)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        message = f"cannot be read: {str(error).splitlines()[0]}"
        raise TrainingError(message, place=str(path), remedy=remedy) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise CheckpointMismatch(
            f"schema {schema}, this version of fw_nnp reads {SCHEMA}",
            place=str(path),
            remedy="train again, or use the version of fw_nnp that wrote it",
        )
    return content


def resume(directory: Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """The state of the training in `directory`; None where there is none.

    Parameters
    ----------
    identity
        Digests of everything that decides the result of the training that is to go on.

    Raises
    ------
    CheckpointMismatch
        The state belongs to another training.
    """
    path = directory / NAME
    if not path.exists():
        return None
    content = load(path)
    theirs = content.get("identity", {})
    differing = [name for name, value in identity.items() if theirs.get(name) != value]
    if differing:
        raise CheckpointMismatch(
            f"the checkpoint belongs to another training: {', '.join(differing)} differ",
            place=str(path),
            remedy="choose another directory, or delete the checkpoint to start afresh",
        )
    return content
