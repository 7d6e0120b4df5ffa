"""The custodian handler of pw.x: does numerical and resource repairs, refuses the others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .catalogue import Action
from .custody import ProgramJob
from .espresso_input import keyword, with_keyword
from .espresso_verdict import diagnose_espresso
from .outputs import find_outputs
from .verdict import Repairs

# What pw.x takes where the input is silent.
FRESH = (("control", "restart_mode", "from_scratch"), ("electrons", "startingpot", "atomic"))
DEFAULTS = {"electron_maxstep": 100.0, "conv_thr": 1e-6}


class EspressoRepairs(Repairs):
    """Walks the ladder of the catalogue, one rung per failed run.

    Parameters
    ----------
    job
        Gets the command-line options of a rung.
    input_name
        The input file in the job's directory, which gets the keywords.
    """

    def __init__(self, job: ProgramJob, input_name: str) -> None:
        self.job = job
        self.input_name = input_name
        self.done: list[str] = []

    def check(self, directory: str | Path = "./") -> bool:
        """Whether the run failed; success is what the XML proves."""
        self.diagnosis = diagnose_espresso(find_outputs(Path(directory)), self.done)
        return not self.diagnosis.ok

    def correct(self, directory: str | Path = "./") -> dict[str, Any]:
        """Do the next action; ``actions: None`` tells custodian that there is none to do."""
        diagnosis = self.diagnosis or diagnose_espresso(find_outputs(Path(directory)), self.done)
        action = diagnosis.action
        if action is None or action.kind not in ("numerical", "resource"):
            return {"errors": [diagnosis.error_class], "actions": None}
        self.done.append(action.name)
        path = Path(directory) / self.input_name
        for namelist, key, value in FRESH:  # what it started from is no help any more
            if keyword(path.read_text(), key) is not None:
                path.write_text(with_keyword(path.read_text(), namelist, key, value))
        changes = apply(action, path)
        self.job.options.extend(action.options)
        record = {
            "error_class": diagnosis.error_class,
            "evidence": diagnosis.evidence.text,
            "action": action.name,
            "kind": action.kind,
            "changes": changes,
            "options": list(action.options),
        }
        return {"errors": [diagnosis.error_class], "actions": [record]}


def apply(action: Action, path: Path) -> dict[str, str]:
    """Write the keywords of `action` into the input; returns keyword -> 'old -> new'."""
    text = path.read_text()
    changes = {}
    for namelist, keywords in action.keywords.items():
        for key, value in keywords.items():
            old = keyword(text, key)
            new = _scaled(old, value, DEFAULTS.get(key, 0.0))
            text = with_keyword(text, namelist, key, new)
            changes[key] = f"{old or 'default'} -> {new}"
    path.write_text(text)
    return changes


def _scaled(old: str | None, value: Any, default: float) -> Any:
    """`value` itself, or the old value scaled by ``*2`` or ``/10``; whole numbers round up."""
    if not (isinstance(value, str) and value[0] in "*/"):
        return value
    factor = float(value[1:])
    number = float(old) if old else default
    new = number * factor if value[0] == "*" else number / factor
    return math.ceil(new) if number == int(number) and number >= 1 else new
