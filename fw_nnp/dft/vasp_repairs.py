"""custodian's VASP handlers behind a filter: what would change the physics is not done."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from custodian.custodian import ErrorHandler
from custodian.vasp.handlers import StdErrHandler, UnconvergedErrorHandler, VaspErrorHandler
from custodian.vasp.interpreter import VaspModder
from pymatgen.io.vasp.inputs import Incar

from .outputs import find_outputs
from .vasp_actions import Change, changes_of
from .vasp_catalogue import HARMLESS, REMARKS
from .vasp_output import energy_changes
from .vasp_verdict import diagnose_vasp
from .verdict import Diagnosis, Repairs

STDOUT, STDERR = "vasp.out", "std_err.txt"
REFUSED = "refused.json"
INPUTS = ("INCAR", "KPOINTS", "POSCAR", "POTCAR")
MOST_STEPS = 400  # NELM is not raised beyond


class VaspRepairs(Repairs):
    """Repairs a single point of VASP with what custodian knows, as far as the physics stays.

    Parameters
    ----------
    allow_physics
        Do physics changes, too, and record them: the label belongs to another level of theory.
    """

    is_monitor = False  # looked at after the run: custodian then waits without polling
    raises_runtime_error = False

    def __init__(self, *, allow_physics: bool) -> None:
        self.allow_physics = allow_physics
        messages = [key for key in VaspErrorHandler.error_msgs if key not in HARMLESS | REMARKS]
        self.by_message = [
            VaspErrorHandler(STDOUT, errors_subset_to_catch=messages),
            StdErrHandler(STDERR),
        ]
        self._repeated: set[str] = set()

    def check(self, directory: str | Path = "./") -> bool:
        """Whether the run failed; success is what its outputs prove."""
        folder = Path(directory)
        self.diagnosis = diagnose_vasp(find_outputs(folder), folder)
        return not self.diagnosis.ok

    def correct(self, directory: str | Path = "./") -> dict[str, Any]:
        """Do the next action; ``actions: None`` tells custodian that there is none to do."""
        folder = Path(directory)
        diagnosis = self.diagnosis or diagnose_vasp(find_outputs(folder), folder)
        name = diagnosis.error_class
        for handler in self.by_message:
            if _sees(handler, folder) and (record := self._filtered(handler, folder)):
                return {"errors": [name], "actions": [record]}
        record = None
        if name == "scf_not_converged":
            record = more_steps(folder) or self._filtered(UnconvergedErrorHandler(), folder)
        elif name in ("truncated", "io", "frozen") and name not in self._repeated:
            self._repeated.add(name)
            record = _repeat(diagnosis)
        return {"errors": [name], "actions": [record] if record else None}

    def _filtered(self, handler: ErrorHandler, folder: Path) -> dict[str, Any] | None:
        return filtered(handler, folder, allow_physics=self.allow_physics)


def filtered(handler: ErrorHandler, folder: Path, *, allow_physics: bool) -> dict[str, Any] | None:
    """Let a handler of custodian correct `folder`, but only in numerical and resource settings.

    The handler corrects a copy; its actions are taken apart, those that may be done are done in
    `folder`. What was refused is noted in ``refused.json``.

    Returns
    -------
    The record of what was done; None where nothing of it may be done.
    """
    with tempfile.TemporaryDirectory(prefix="fw-nnp-") as copy, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # custodian's advice to look at changed settings
        shadow = str(_shadow(folder, Path(copy)))
        answer = handler.correct(directory=shadow)  # type: ignore[no-untyped-call]
    errors = [str(error) for error in answer["errors"]]
    changes = [c for c in changes_of(answer["actions"] or []) if _has_effect(c, folder)]
    may = [c for c in changes if allow_physics or c.kind in ("numerical", "resource")]
    refused = [c for c in changes if c not in may]
    if refused:
        note_refused(folder, errors, refused)
    return apply(folder, errors, may, refused) if may else None


def more_steps(folder: Path) -> dict[str, Any] | None:
    """Double NELM while the energy still settles; None where an algorithm is at fault."""
    steps = int(Incar.from_file(folder / "INCAR").get("NELM", 60))
    if not _settles(folder) or 2 * steps > MOST_STEPS:
        return None
    action = {"dict": "INCAR", "action": {"_set": {"NELM": 2 * steps}}}
    change = Change("numerical", f"NELM = {2 * steps}", action)
    return apply(folder, ["scf_not_converged"], [change], [])


def _has_effect(change: Change, folder: Path) -> bool:
    """False where a tag has the value already or the file to delete is absent: no repair."""
    action = change.action
    if "file" in action:
        return not change.text.startswith("delete") or (folder / str(action["file"])).exists()
    if action["dict"] != "INCAR":
        return True
    incar = Incar.from_file(folder / "INCAR")
    ((verb, tags),) = action["action"].items()
    ((tag, value),) = tags.items()
    return tag in incar if verb == "_unset" else str(incar.get(tag)) != str(value)


def _sees(handler: ErrorHandler, folder: Path) -> bool:
    try:
        return bool(handler.check(directory=str(folder)))  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        return False  # the run left nothing to look at: the proof has said so


def _repeat(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "error_class": diagnosis.error_class,
        "evidence": diagnosis.evidence.text,
        "action": "run once more",
        "kind": "resource",
        "changes": {},
    }


def apply(
    folder: Path, errors: Sequence[str], changes: Sequence[Change], refused: Sequence[Change]
) -> dict[str, Any]:
    """Do `changes` in `folder`; returns the record that goes with the label."""
    before = Incar.from_file(folder / "INCAR")
    VaspModder(directory=str(folder)).apply_actions([dict(c.action) for c in changes])
    after = Incar.from_file(folder / "INCAR")
    tags = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    kinds = {change.kind for change in changes}
    return {
        "error_class": errors[0] if errors else "unknown",
        "action": ", ".join(change.text for change in changes),
        "kind": next(k for k in ("physics", "resource", "numerical") if k in kinds),
        "changes": {
            tag: f"{before.get(tag, 'default')} -> {after.get(tag, 'default')}"
            for tag in sorted(tags)
        },
        "physics": [change.text for change in changes if change.kind == "physics"],
        "refused": [change.text for change in refused],
    }


def note_refused(folder: Path, errors: Sequence[str], refused: Sequence[Change]) -> None:
    """Add to ``refused.json`` what would have been changed, and why."""
    noted = read_refused(folder)
    noted.append({"errors": list(errors), "refused": [change.text for change in refused]})
    (folder / REFUSED).write_text(json.dumps(noted))


def read_refused(folder: Path) -> list[dict[str, Any]]:
    """What was refused in a run so far."""
    path = folder / REFUSED
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    return found


def _shadow(folder: Path, copy: Path) -> Path:
    """A directory like `folder`: inputs copied, everything else linked."""
    for path in folder.iterdir():
        if path.name in INPUTS:
            shutil.copyfile(path, copy / path.name)
        elif path.is_file():
            (copy / path.name).symlink_to(path.resolve())
    return copy


def _settles(folder: Path) -> bool:
    """Whether the energy changes ever less over the last half of the electronic steps."""
    path = folder / "OSZICAR"
    late = energy_changes(path.read_text(errors="replace")) if path.is_file() else []
    late = late[len(late) // 2 :]
    if len(late) < 2:
        return True
    half = len(late) // 2
    return max(late[half:]) <= 0.5 * max(late[:half])
