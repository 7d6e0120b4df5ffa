"""What happened in a run of pw.x: success by proof, failure by its symptom."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fw_nnp.core.errors import LabelError
from fw_nnp.core.units import RYDBERG

from . import catalogue
from .catalogue import Action, Symptom
from .espresso_output import (
    MAX_SCF_CORRECTION,
    MAX_TOP_OCCUPATION,
    MAX_TOTAL_FORCE,
    PwResult,
    parse_xml,
)
from .espresso_stdout import REMARK, PwLog, accuracies, read_stdout
from .outputs import Output, Outputs
from .verdict import Diagnosis, Doubt, Evidence, search_first

FALLING = -0.02  # log10(accuracy) per step: an SCF that still converges
SAME_ENERGY = 2e-5  # Ry: XML and standard output are of one run
# pw.x warns of a correction that is large beside small forces; below this it does not matter.
NEGLIGIBLE_CORRECTION = 1e-4  # eV/Å, rms per component


def diagnose_espresso(outputs: Outputs, done: Sequence[str] = ()) -> Diagnosis:
    """Diagnose a finished run of pw.x.

    Parameters
    ----------
    done
        Names of the actions that were tried before.
    """
    stdout = _last_run(outputs.of("pw_stdout"))
    text = stdout.text if stdout else ""
    doubt, result = _doubt(outputs, stdout)
    if doubt is None:
        shown = outputs.last("pw_xml") or outputs.last("pw_old_xml") or stdout
        proof = Evidence(
            file=shown.name if shown else "", text="converged, forces and stress proved"
        )
        return Diagnosis(error_class="ok", evidence=proof, code="espresso", result=result)
    symptom = _row(doubt)
    action = next_action(symptom, done, text)
    return Diagnosis(
        error_class=doubt.error_class,
        evidence=doubt.evidence,
        remedy=action.kind if action else "none",
        next_action=action.name if action else symptom.advice,
        action=action,
        code="espresso",
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


def sayings(outputs: Iterable[Output]) -> list[Evidence]:
    """Every line that says something; what pw.x only remarks on is left out."""
    found = []
    for output in outputs:
        lines = output.lines()
        for number, line in enumerate(lines, start=1):
            remark = number > 1 and REMARK.match(lines[number - 2])
            if line.strip() and not remark:
                found.append(Evidence(file=output.name, line=number, text=_quote(lines, number)))
    return found


def _last_run(found: Sequence[Output]) -> Output | None:
    """The standard output that was started last; by name where they do not say."""
    return max(found, key=lambda output: (_started(output.text), output.name), default=None)


def _started(text: str) -> tuple[int, ...]:
    """Year, month, day, hour, minute, second of the last start in a standard output."""
    months = [name.lower() for name in calendar.month_abbr[1:]]
    pattern = r"starts on\s+(\d+)([A-Za-z]{3})(\d{4}) at\s+(\d+):\s*(\d+):\s*(\d+)"
    found = re.findall(pattern, text)
    if not found or found[-1][1].lower() not in months:
        return ()
    day, month, year, *clock = found[-1]
    return (int(year), months.index(month.lower()), int(day), *map(int, clock))


def _doubt(outputs: Outputs, stdout: Output | None) -> tuple[Doubt | None, PwResult | None]:
    """The reason why the run is no success, None where it is proved to be one; its XML."""
    log = read_stdout(stdout.text) if stdout else None
    result: PwResult | None = None
    failure: LabelError | None = None
    xml = outputs.last("pw_xml")
    if xml is not None:
        try:
            result = parse_xml(xml.text, xml.path)
        except LabelError as error:
            failure = error
    if log and stdout and _proved(log, result, outputs):
        return _quality(log, result, stdout, xml), result
    if xml is not None and _alone(outputs, result):
        return _too_few_bands(result, xml), result
    found = _symptom(outputs, stdout, log) or _self_consistency(log, stdout, failure)
    if found is not None:
        return found, None
    if log is None or stdout is None or not log.finished:
        return _unfinished(stdout, outputs), None
    return _shortfall(log, stdout, xml, result, failure), None


def _proved(log: PwLog, result: PwResult | None, outputs: Outputs) -> bool:
    """Whether everything that a label needs is there, and the two files are of one run."""
    if not (log.finished and log.achieved and log.accurate and log.complete):
        return False
    if log.moved or log.bands_only or log.optimiser_failed or not math.isfinite(log.energy):
        return False
    if result is not None:
        same = abs(result.energy / RYDBERG - log.energy) < SAME_ENERGY
        return same and len(result.symbols) == log.n_atoms
    if outputs.last("pw_xml") is not None or log.total_force > MAX_TOTAL_FORCE:
        return False
    if old := outputs.last("pw_old_xml"):  # before 6.2: neither energy nor forces in it
        return old.text.rstrip().endswith("</Root>")
    return not outputs.saved  # else it stands alone, as the only one that was kept


def _alone(outputs: Outputs, result: PwResult | None) -> bool:
    """Whether an XML that proves a single point by itself is all that was kept of a run."""
    if result is None or outputs.given or any(o.role != "pw_xml" for o in outputs.files):
        return False
    return result.calculation == "scf" and result.converged is True


def _quality(
    log: PwLog, result: PwResult | None, stdout: Output, xml: Output | None
) -> Doubt | None:
    """What is wrong with a converged result, if anything."""
    error = log.force_error
    if error > MAX_SCF_CORRECTION or (log.large_correction and error > NEGLIGIBLE_CORRECTION):
        line = log.lines_of.get("large_correction") or log.lines_of.get("correction", 0)
        text = f"SCF correction to the forces: {error:.3g} eV/Å"
        return Doubt("force_quality", Evidence(file=stdout.name, line=line, text=text))
    return _too_few_bands(result, xml)


def _too_few_bands(result: PwResult | None, xml: Output | None) -> Doubt | None:
    """The highest band holds electrons, so that the one above it would, too."""
    if result is not None and result.top_occupation > MAX_TOP_OCCUPATION:
        text = f"the highest band is occupied by {result.top_occupation:.3g}: too few bands"
        return Doubt("bands", Evidence(file=xml.name if xml else "", text=text))
    return None


def _symptom(outputs: Outputs, stdout: Output | None, log: PwLog | None) -> Doubt | None:
    """The row whose text names the cause, searched in the last run and in all other texts."""
    texts: list[Output] = list(outputs.of("text"))
    if stdout is not None and log is not None:
        texts.insert(0, _from_line(stdout, log.start))
    said = sayings(texts)
    for symptom in (*catalogue.SYMPTOMS, catalogue.UNKNOWN):
        if found := search_first((symptom,), said):
            return Doubt(*found)
    for rows in (catalogue.KILLED, (catalogue.ABORTED,)):
        if found := search_first(rows, said):
            return Doubt(*found)
    return None


def _from_line(output: Output, start: int) -> Output:
    """The text from a line on; what was before is blanked, so that line numbers stay."""
    lines = output.lines()
    text = "\n".join([""] * start + lines[start:])
    return Output(path=output.path, role=output.role, text=text)


def _self_consistency(
    log: PwLog | None, stdout: Output | None, failure: LabelError | None
) -> Doubt | None:
    """A cycle that ended without convergence."""
    if log and stdout and (log.achieved is False or (log.achieved and not log.accurate)):
        line = log.lines_of["achieved"]
        text = stdout.lines()[line - 1].strip()
        if log.achieved:
            text += f", but at {log.accuracy:.2g} Ry where {log.threshold:.2g} Ry was asked for"
        return Doubt("scf_not_converged", Evidence(file=stdout.name, line=line, text=text))
    bands = log is not None and log.bands_only and log.achieved is None
    finished = log is None or (log.finished and not bands)  # a single pass has no cycle to end
    if failure is not None and failure.error_class == "scf_not_converged" and finished:
        return Doubt("scf_not_converged", _where(failure))
    return None


def _unfinished(stdout: Output | None, outputs: Outputs) -> Doubt:
    """A standard output that is absent or has no end."""
    if killed := search_first((catalogue.TRUNCATED,), sayings(outputs.of("text"))):
        return Doubt(*killed)
    if stdout is None:
        found = [output.name for output in outputs.files]
        text = f"no standard output of pw.x beside {', '.join(found)}" if found else "no output"
        return Doubt("truncated", Evidence(text=text))
    lines = stdout.lines()
    last = next((i for i in range(len(lines), 0, -1) if lines[i - 1].strip()), 0)
    text = f"it ends with: {lines[last - 1].strip()}" if last else "it is empty"
    return Doubt("truncated", Evidence(file=stdout.name, line=last, text=text[:300]))


def _shortfall(
    log: PwLog,
    stdout: Output,
    xml: Output | None,
    result: PwResult | None,
    failure: LabelError | None,
) -> Doubt:
    """A run that came to its end without all that a label needs."""
    at = Evidence(file=stdout.name, line=log.lines_of.get("energy", 0))
    missing = _missing(log)
    torn = failure is not None and failure.error_class == "truncated" and not log.bands_only
    if failure is not None and (torn or not missing):
        return Doubt(failure.error_class, _where(failure))
    if missing:
        return Doubt("incomplete", Evidence(file=at.file, line=at.line, text=missing))
    if result is None:
        text = "converged and complete in the standard output, but its XML is gone"
        return Doubt("truncated", Evidence(file=at.file, line=at.line, text=text))
    text = "XML and standard output are of different runs"
    return Doubt("truncated", Evidence(file=xml.name if xml else "", text=text))


def _missing(log: PwLog) -> str:
    """What a finished run does not say, in words; empty where it says all."""
    if log.bands_only or log.achieved is None:
        return "no self-consistency cycle ended: bands alone are no label"
    if log.optimiser_failed:
        return "the relaxation gave up"
    if log.moved:
        return "the atoms moved after the last energy: forces and positions do not belong together"
    if log.complete and log.total_force > MAX_TOTAL_FORCE:
        return f"the forces add up to {log.total_force:.3g} eV/Å instead of zero"
    absent = [] if log.n_forces else ["forces"]
    absent += [] if log.has_stress else ["stress"]
    if absent:
        return f"converged, but no {' and no '.join(absent)}"
    return "" if log.complete else "forces or stress hold no finite numbers for every atom"


def _where(error: LabelError) -> Evidence:
    return Evidence(file=Path(error.place).name, text=error.message)


def _row(doubt: Doubt) -> Symptom:
    """The row with the ladder of a doubt."""
    rows = [row for row in catalogue.ALL if row.error_class == doubt.error_class]
    named = (
        row
        for row in rows
        for pattern in row.patterns
        if re.search(pattern, doubt.evidence.text, re.IGNORECASE)
    )
    return next(named, rows[-1] if doubt.error_class == "bands" else rows[0])


def _quote(lines: Sequence[str], number: int) -> str:
    """Line `number`; the message follows where pw.x only names the routine."""
    quoted = lines[number - 1 : number]
    if re.search(r"Error in routine|: error #", quoted[0]):
        quoted = lines[number - 1 : number + 1]
    return " ".join(line.strip() for line in quoted)[:300]
