"""What a diagnosis is, whatever the code: a class, its evidence, a typed next action."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from custodian.custodian import ErrorHandler

from fw_nnp.core.errors import CorrectionRefused, LabelError, NotConverged, OutputUnreadable

from .catalogue import Action, Kind, Symptom
from .espresso_output import PwResult
from .vasp_output import VaspResult


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where it is seen: file, line (from 1; 0 where a number is the evidence), text."""

    file: str = ""
    line: int = 0
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What happened, what shows it, and what comes next.

    Attributes
    ----------
    error_class
        ``ok`` or a class of the catalogues.
    remedy
        Kind of the next action; ``none`` where there is none.
    next_action
        Name of the next action, or advice for a person.
    action
        The next action as data.
    result
        What was read where it proves success; None for an XML of pw.x before 6.2.
    """

    error_class: str
    evidence: Evidence
    remedy: Kind = "none"
    next_action: str = ""
    action: Action | None = None
    code: str = ""
    result: PwResult | VaspResult | None = None

    @property
    def ok(self) -> bool:
        return self.error_class == "ok"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as ``fw-nnp diagnose --json`` prints it."""
        found = self.evidence
        return {
            "code": self.code,
            "class": self.error_class,
            "evidence": {"file": found.file, "line": found.line, "text": found.text},
            "remedy": self.remedy,
            "next_action": self.next_action,
        }


@dataclass(frozen=True)
class Doubt:
    """A reason why a run is no success: its class and what shows it."""

    error_class: str
    evidence: Evidence = field(default_factory=Evidence)


def search_first(
    symptoms: Iterable[Symptom], said: Sequence[Evidence]
) -> tuple[str, Evidence] | None:
    """Class and evidence of whichever of `symptoms` shows first."""
    patterns = [
        (row.error_class, re.compile("|".join(f"(?:{p})" for p in row.patterns), re.IGNORECASE))
        for row in symptoms
    ]
    for evidence in said:
        for error_class, pattern in patterns:
            if pattern.search(evidence.text):
                return error_class, evidence
    return None


class Repairs(ErrorHandler):
    """A custodian handler that diagnoses a run; what it saw stays with it for the proof."""

    diagnosis: Diagnosis | None = None

    def as_dict(self) -> dict[str, Any]:
        """For custodian's log."""
        return {"@module": type(self).__module__, "@class": type(self).__name__}


def as_error(diagnosis: Diagnosis, directory: Path) -> LabelError:
    """The error that a failed run is, with its evidence."""
    kind = {"scf_not_converged": NotConverged, "truncated": OutputUnreadable}.get(
        diagnosis.error_class, LabelError
    )
    message = diagnosis.evidence.text or f"the run failed: {diagnosis.error_class}"
    if diagnosis.remedy == "physics":
        kind = CorrectionRefused
        message += f" (the repair '{diagnosis.next_action}' would change the physics)"
    return kind(
        message,
        place=str(directory),
        remedy=diagnosis.next_action,
        error_class=diagnosis.error_class,
        evidence={"file": diagnosis.evidence.file, "line": diagnosis.evidence.line},
    )
