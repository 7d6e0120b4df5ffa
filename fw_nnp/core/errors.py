"""The errors of fw_nnp.

::

    FwNnpError                  base; every error says where and what to do
    ├── SpecError               the user's file or argument is wrong (exit code 2)
    ├── EngineError             a program is missing or cannot be started (exit code 2)
    ├── SamplingError           molecular dynamics failed
    ├── LabelError              a label could not be made
    │   ├── NotConverged        the self-consistency did not converge
    │   ├── CorrectionRefused   the only known repair would change the physics
    │   └── OutputUnreadable    the output is truncated, absent or contradicts itself
    ├── TrainingError
    │   ├── Diverged            the loss is not finite
    │   └── CheckpointMismatch  a checkpoint belongs to another training
    └── StoreError
        ├── NotFound            no such record
        └── LabelConflict       two different answers to one question
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class FwNnpError(Exception):
    """Base of all errors: a message, the place it concerns and the remedy.

    Parameters
    ----------
    message
        What is wrong, in one sentence.
    place
        File, key, record id or directory that it concerns.
    remedy
        What the user can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, place: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text}\n  -> {self.remedy}" if self.remedy else text

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain JSON."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "place": self.place,
            "remedy": self.remedy,
        }


class SpecError(FwNnpError):
    """A file, key or argument given by the user is wrong."""

    exit_code = 2


class EngineError(FwNnpError):
    """A program (LAMMPS, pw.x, mongod) is missing or cannot be started."""

    exit_code = 2


class SamplingError(FwNnpError):
    """Molecular dynamics failed or gave unusable frames."""


class LabelError(FwNnpError):
    """A label could not be made; `error_class` is the name that quarantine files it under.

    `evidence` is plain JSON: file, line, numbers, attempted corrections.
    """

    error_class = "unknown"

    def __init__(
        self,
        message: str,
        *,
        place: str = "",
        remedy: str = "",
        error_class: str = "",
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, place=place, remedy=remedy)
        if error_class:
            self.error_class = error_class
        self.evidence = dict(evidence or {})

    def to_dict(self) -> dict[str, Any]:
        return {
            **super().to_dict(),
            "error_class": self.error_class,
            "evidence": self.evidence,
        }


class NotConverged(LabelError):
    """The self-consistency cycle did not converge."""

    error_class = "scf_not_converged"


class CorrectionRefused(LabelError):
    """The only known repair would change the physics of the label."""


class OutputUnreadable(LabelError):
    """The output is truncated, absent or contradicts itself."""

    error_class = "truncated"


class TrainingError(FwNnpError):
    """Training cannot go on."""


class Diverged(TrainingError):
    """The loss or its gradient is not finite."""


class CheckpointMismatch(TrainingError):
    """A checkpoint belongs to another training or another schema."""


class StoreError(FwNnpError):
    """The store refused or could not be reached."""


class NotFound(StoreError):
    """No such record."""

    exit_code = 2


class LabelConflict(StoreError):
    """Two different answers to the same question: (configuration, level of theory)."""
