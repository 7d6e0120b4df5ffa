"""What happened in a directory of pw.x: success by proof, failure by its symptom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fw_nnp.core.errors import (
    CorrectionRefused,
    LabelError,
    NotConverged,
    OutputUnreadable,
)

from . import catalogue
from .catalogue import Action, Kind, Symptom
from .espresso_output import (
    MAX_SCF_CORRECTION,
    MAX_TOP_OCCUPATION,
    PwResult,
    accuracies,
    read_xml,
    scf_correction,
)

HEAD = 20_000  # bytes of a file in which it says what it is
FALLING = -0.02  # log10(accuracy) per step: an SCF that still converges


@dataclass(frozen=True, kw_only=True)
class PwFiles:
    """Outputs of one run, found by what is in them, whatever they are called."""

    stdout: Path | None
    xml: Path | None
    others: tuple[Path, ...]


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
        ``ok`` or a class of the catalogue.
    remedy
        Kind of the next action; ``none`` where there is none.
    next_action
        Name of the next action, or advice for a person.
    action
        The next action as data.
    """

    error_class: str
    evidence: Evidence
    remedy: Kind
    next_action: str
    action: Action | None = None

    @property
    def ok(self) -> bool:
        return self.error_class == "ok"


def find_outputs(directory: Path) -> PwFiles:
    """Find standard output, XML and the rest in `directory` and its ``*.save`` folders."""
    stdout = xml = None
    others = []
    files = [p for p in sorted(directory.iterdir()) if p.is_file()]
    files += sorted(directory.glob("**/*.save/data-file-schema.xml"))
    for path in files:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
        if b"Program PWSCF" in head:
            stdout = stdout or path
        elif b"<qes:espresso" in head or path.suffix == ".xml":
            xml = path  # the one in *.save comes last and is the final one
        elif b"&control" not in head.lower() and path.suffix != ".json":
            others.append(path)
    return PwFiles(stdout=stdout, xml=xml, others=tuple(others))


def diagnose(directory: Path, done: Sequence[str] = ()) -> Diagnosis:
    """Diagnose a finished run of pw.x.

    Parameters
    ----------
    done
        Names of the actions that were tried before.
    """
    files = find_outputs(directory)
    stdout = files.stdout.read_text(errors="replace") if files.stdout else ""
    try:
        result = read_xml(files.xml or directory / "data-file-schema.xml")
        symptom, evidence = _doubts(result, files, stdout)
    except LabelError as error:
        symptom, evidence = _symptom(files, error)
    if symptom is None:
        return Diagnosis(error_class="ok", evidence=evidence, remedy="none", next_action="")
    action = next_action(symptom, done, stdout)
    return Diagnosis(
        error_class=symptom.error_class,
        evidence=evidence,
        remedy=action.kind if action else "none",
        next_action=action.name if action else symptom.advice,
        action=action,
    )


def next_action(symptom: Symptom, done: Sequence[str], stdout: str) -> Action | None:
    """The first rung that was not tried; an SCF that still falls gets more steps instead."""
    if symptom.error_class == "scf_not_converged" and still_falling(accuracies(stdout)):
        return catalogue.MORE_STEPS
    return next((action for action in symptom.ladder if action.name not in done), None)


def still_falling(accuracy: Sequence[float]) -> bool:
    """Whether log10 of the SCF accuracy falls over the second half of the steps.

    Parameters
    ----------
    accuracy
        (number of steps,) Ry.
    """
    late = [value for value in accuracy[len(accuracy) // 2 :] if value > 0.0]
    if len(late) < 2:
        return len(accuracy) > 0  # too short to judge: it was given too few steps
    slope = np.polyfit(np.arange(len(late)), np.log10(late), 1)[0]
    return bool(slope < FALLING)


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


def _doubts(result: PwResult, files: PwFiles, stdout: str) -> tuple[Symptom | None, Evidence]:
    """What is wrong with a converged result, if anything."""
    name = files.stdout.name if files.stdout else ""
    if files.stdout is None:
        return catalogue.TRUNCATED, Evidence(text="no standard output of pw.x beside the XML")
    correction = scf_correction(stdout, len(result.symbols))
    if correction > MAX_SCF_CORRECTION:
        text = f"SCF correction to the forces: {correction:.3g} eV/Å"
        return catalogue.FORCE_QUALITY, Evidence(file=name, text=text)
    if result.top_occupation > MAX_TOP_OCCUPATION:
        text = f"the highest band is occupied by {result.top_occupation:.3g}: too few bands"
        return catalogue.MORE_BANDS, Evidence(file=files.xml.name if files.xml else "", text=text)
    return None, Evidence(file=files.xml.name if files.xml else "", text="converged")


def _symptom(files: PwFiles, error: LabelError) -> tuple[Symptom, Evidence]:
    """The row that names the cause of a failed proof."""
    outputs = [path for path in (files.stdout, *files.others) if path is not None]
    for symptom in catalogue.SYMPTOMS:
        if evidence := _search(symptom, outputs):
            return symptom, evidence
    if error.error_class == "truncated" and (evidence := _search(catalogue.UNKNOWN, outputs)):
        return catalogue.UNKNOWN, evidence
    return catalogue.symptom_of(error.error_class), Evidence(
        file=Path(error.place).name, text=error.message
    )


def _search(symptom: Symptom, outputs: Sequence[Path]) -> Evidence | None:
    patterns = [re.compile(pattern, re.IGNORECASE) for pattern in symptom.patterns]
    for path in outputs:
        lines = path.read_text(errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if any(pattern.search(line) for pattern in patterns):
                return Evidence(file=path.name, line=number, text=_quote(lines, number))
    return None


def _quote(lines: Sequence[str], number: int) -> str:
    """Line `number`; the message follows where pw.x only names the routine."""
    quoted = lines[number - 1 : number]
    if "Error in routine" in quoted[0]:
        quoted = lines[number - 1 : number + 1]
    return " ".join(line.strip() for line in quoted)[:300]
