"""What happened in a run of VASP: success by proof, failure by custodian's key or our class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fw_nnp.core.errors import LabelError

from . import catalogue
from .outputs import Output, Outputs
from .vasp_catalogue import (
    HARMLESS,
    INPUT,
    MESSAGES,
    PASSING,
    RATHER,
    REMARKS,
    REMEDIES,
    STOPPED,
    UNKNOWN,
    WARNINGS,
    Remedy,
)
from .vasp_output import VaspResult, parse_outcar, parse_vasprun
from .verdict import Diagnosis, Doubt, Evidence, search_first

SAME_ENERGY = 1e-3  # eV: vasprun.xml and OUTCAR are of one run
SAME_FORCES = 2e-3  # eV/Å
# The OUTCAR names routines in passing; only lines that complain are symptoms there.
COMPLAINS = re.compile(r"error|fatal|serious|failed|bad news|TOO FEW BANDS", re.IGNORECASE)
BOXED = re.compile(r"^\s*\|(.*)\|\s*$")
BANNER = re.compile(r"^(?=.*(?:   |##|__))[^a-z]*$")  # letters made of letters
STARTED = re.compile(r"^\s*vasp\.\d+\.\d")
COMPUTING = re.compile(r"entering main loop|^-* Iteration\s+1\(")
OWN_FAULT = re.compile(r"internal error|bug report", re.IGNORECASE)
ELECTRONIC = re.compile(r"^\s*(?:DAV|RMM|DIA|CG|SDA|DMP|NON|EIG)\s*:\s*(\d+)\s+\S+\s+(\S+)")
SMALL = 1e-5  # eV: a smaller last change of the energy looks converged
IONIC = re.compile(r"^\s*(\d+)\s+(?:T=\s*\S+\s+E=\s*\S+\s+)?F=\s*(\S+)")


def diagnose_vasp(outputs: Outputs, directory: Path) -> Diagnosis:
    """Diagnose a finished run of VASP in `directory`."""
    results, failures = _results(outputs)
    doubt = _doubt(outputs, results, failures)
    if doubt is None:
        shown = outputs.last("vasprun") or outputs.last("outcar")
        proof = Evidence(
            file=shown.name if shown else "", text="converged, forces and stress proved"
        )
        return Diagnosis(error_class="ok", evidence=proof, code="vasp", result=results[0])
    remedy = REMEDIES.get(doubt.error_class, Remedy("none", "look up the quoted lines"))
    return Diagnosis(
        error_class=doubt.error_class,
        evidence=doubt.evidence,
        remedy=remedy.kind,
        next_action=remedy.action,
        code="vasp",
    )


def vasp_symptom(outputs: Outputs) -> Doubt | None:
    """custodian's key of the worst message in the texts that VASP printed.

    A fatal error stands above warnings; of equals the first one printed counts.
    """
    found = [*_messages(outputs)]
    keys = {doubt.error_class for doubt in found}
    found = [doubt for doubt in found if RATHER.get(doubt.error_class) not in keys]
    fatal = [doubt for doubt in found if doubt.error_class not in WARNINGS]
    grave = [doubt for doubt in found if doubt.error_class not in HARMLESS]
    return next(iter(fatal or grave or found), None)


def _doubt(
    outputs: Outputs, results: Sequence[VaspResult], failures: Sequence[LabelError]
) -> Doubt | None:
    """The reason why the run is no success; None where it is proved to be one."""
    symptom = vasp_symptom(outputs)
    if results and not failures and _agree(results):
        bad = symptom is not None and symptom.error_class not in HARMLESS
        return symptom if bad else None
    said = [*_said(outputs)]
    for row in catalogue.SCHEDULER:
        if evidence := _search(row.patterns, said):
            return Doubt(row.error_class, evidence)
    if symptom is not None and symptom.error_class not in PASSING:
        return symptom
    for error_class, patterns in (("input", INPUT), ("walltime", STOPPED)):
        if evidence := _search(patterns, said):
            return Doubt(error_class, evidence)
    for error_class, early in (("input", True), ("unknown", False)):
        if one := next((one for one in said if one.error and one.early is early), None):
            return Doubt(error_class, one.evidence)
    if evidence := _search(UNKNOWN, said):
        return Doubt("unknown", evidence)
    for rows in (catalogue.KILLED, (catalogue.ABORTED,)):
        if found := search_first(rows, [one.evidence for one in said]):
            return Doubt(*found)
    if symptom is not None and not results and not failures:
        return symptom
    return _by_numbers(outputs, results, failures)


def _by_numbers(
    outputs: Outputs, results: Sequence[VaspResult], failures: Sequence[LabelError]
) -> Doubt:
    """A run without a telling message: judged by what it left."""
    for error_class in ("scf_not_converged", "truncated", "incomplete"):
        for failure in failures:
            if failure.error_class == error_class:
                return Doubt(error_class, _located(failure, outputs))
    if results:
        text = "vasprun.xml and OUTCAR are of different runs"
        return Doubt("truncated", Evidence(file=outputs.of("vasprun")[-1].name, text=text))
    steps = outputs.last("oszicar") or outputs.last("vasp_stdout")
    if steps is None:
        names = ", ".join(output.name for output in outputs.files)
        return Doubt("truncated", Evidence(text=f"no output of VASP beside {names or 'nothing'}"))
    return _by_steps(steps)


def _by_steps(output: Output) -> Doubt:
    """What the list of electronic and ionic steps tells where nothing else is there."""
    counts: list[int] = []
    energies: list[float] = []
    line_of_last = current = 0
    change = 0.0
    for number, line in enumerate(output.lines(), start=1):
        if found := ELECTRONIC.match(line):
            current, change = int(found[1]), _real(found[2])
        elif found := IONIC.match(line):
            counts.append(current)
            energies.append(_real(found[2]))
            current, line_of_last = 0, number
    at = Evidence(file=output.name, line=line_of_last)
    if any(energy > 0.0 for energy in energies[-1:]):
        text = f"the energy of the last step is positive: {energies[-1]:g} eV"
        return Doubt("positive_energy", Evidence(file=at.file, line=at.line, text=text))
    if len(counts) > 1 and len(set(counts[-10:])) == 1 and abs(change) > SMALL:
        text = f"every cycle took {counts[-1]} steps: that is NELM, not convergence"
        return Doubt("scf_not_converged", Evidence(file=at.file, line=at.line, text=text))
    if current or not counts:
        text = "the list of steps ends within a cycle"
        return Doubt("truncated", Evidence(file=at.file, line=len(output.lines()), text=text))
    text = "no vasprun.xml and no OUTCAR: forces and stress are absent"
    return Doubt("incomplete", Evidence(file=at.file, line=at.line, text=text))


def _results(outputs: Outputs) -> tuple[list[VaspResult], list[LabelError]]:
    """Proof or failure of the last vasprun.xml and of the last OUTCAR."""
    results: list[VaspResult] = []
    failures: list[LabelError] = []
    for role, parse in (("vasprun", parse_vasprun), ("outcar", parse_outcar)):
        output = outputs.last(role)  # type: ignore[arg-type]
        if output is None:
            continue
        try:
            results.append(parse(output.text, output.path))
        except LabelError as error:
            failures.append(error)
    return results, failures


def _agree(results: Sequence[VaspResult]) -> bool:
    first, last = results[0], results[-1]
    return (
        abs(first.energy - last.energy) < SAME_ENERGY
        and first.forces.shape == last.forces.shape
        and bool(np.abs(first.forces - last.forces).max() < SAME_FORCES)
    )


def _messages(outputs: Outputs) -> Iterator[Doubt]:
    """Every key with its first line, in the order of the lines."""
    seen: set[tuple[str, str]] = set()
    for one in _said(outputs):
        at = one.evidence
        for key, messages in MESSAGES.items():
            known = key in REMARKS or (at.file, key) in seen
            if not known and any(message in at.text for message in messages):
                seen.add((at.file, key))
                yield Doubt(key, Evidence(file=at.file, line=at.line, text=at.text[:300]))


@dataclass(frozen=True)
class _Said:
    """A line, or a box of lines as the sentence that it is.

    Attributes
    ----------
    error
        A box with which VASP stops.
    early
        Before it starts to compute, and by no fault of its own: it does not take the input.
    """

    evidence: Evidence
    error: bool = False
    early: bool = False


def _said(outputs: Outputs) -> Iterator[_Said]:
    """What VASP, MPI and the scheduler printed; the OUTCAR comes last."""
    printed = (*outputs.of("vasp_stdout"), *outputs.of("oszicar"), *outputs.of("text"))
    for output in (*printed, *outputs.of("outcar")):
        begun = False
        lines = output.lines()
        if output.role == "vasp_stdout":  # of several runs in one file the last one counts
            start = max((i for i, line in enumerate(lines) if STARTED.match(line)), default=0)
            lines[:start] = [""] * start
        for number, text, error in _sentences(lines):
            begun = begun or COMPUTING.search(text) is not None
            if output.role != "outcar" or COMPLAINS.search(text):
                early = not begun and not OWN_FAULT.search(text)
                yield _Said(Evidence(file=output.name, line=number, text=text), error, early)


def _sentences(lines: Sequence[str]) -> Iterator[tuple[int, str, bool]]:
    """Line number, text, and whether it stands in a box titled ERROR."""
    box: list[tuple[int, str]] = []
    for number, line in enumerate([*lines, ""], start=1):
        if found := BOXED.match(line):
            box.append((number, found[1].strip()))
            continue
        words = [(i, text) for i, text in box if text and not BANNER.match(text)]
        if words:
            title = any("EEEEEEE  RRRRRR" in text for _, text in box)
            yield words[0][0], " ".join(" ".join(text for _, text in words).split()), title
        box = []
        if line.strip():
            yield number, line.strip(), False


def _search(patterns: Sequence[str], said: Sequence[_Said]) -> Evidence | None:
    pattern = re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE)
    for one in said:
        if pattern.search(one.evidence.text):
            at = one.evidence
            return Evidence(file=at.file, line=at.line, text=at.text[:300])
    return None


def _located(error: LabelError, outputs: Outputs) -> Evidence:
    """Evidence of a failed proof; of an OUTCAR the line that ends its last cycle."""
    name = Path(error.place).name
    for output in outputs.of("outcar"):
        if output.name == name:
            lines = output.lines()
            ends = [i for i, line in enumerate(lines, 1) if "aborting loop" in line]
            cut = error.error_class == "truncated" or not ends
            return Evidence(file=name, line=len(lines) if cut else ends[-1], text=error.message)
    return Evidence(file=name, text=error.message)


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
