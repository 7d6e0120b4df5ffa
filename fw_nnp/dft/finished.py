"""Trees of finished calculations: whatever VASP and pw.x left below a folder, as labels.

Files are known by their content, whatever they are called and packed or not. Every ionic step
whose SCF converged is a label; the steps of one run are one trajectory. Where a run left two
outputs the one with more digits is read: vasprun.xml before OUTCAR, pw.x's XML before its standard
output. What was cut off or failed is named, not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fw_nnp.core.errors import FwNnpError, LabelError, OutputUnreadable
from fw_nnp.core.hashing import content_id
from fw_nnp.core.records import (
    FloatArray,
    Label,
    LabelledConfiguration,
    LevelOfTheory,
)
from fw_nnp.core.unpacking import BROKEN, opened

from .espresso_output import MAX_SCF_CORRECTION
from .espresso_settings import read_stated
from .espresso_stdout import read_stdout
from .espresso_verdict import SAME_ENERGY
from .finished_steps import Step, pw_steps, pw_xml_steps, text_of, vasp_steps
from .outputs import HEAD, OUTCAR, SKIPPED
from .stated import Stated, theories_of
from .vasp_stated import stated_by_outcar, stated_by_vasprun

Kind = Literal["vasprun", "outcar", "pw_xml", "pw_stdout", "pw_input"]
MAX_TOTAL_FORCE = 0.02  # eV/Å and cell: |sum of forces|; large cells may have 1 meV/Å per atom
_FIRST_STEP = {"vasprun": b"<calculation>", "outcar": b"Iteration      1("}


@dataclass(frozen=True, kw_only=True, eq=False)
class Calculation:
    """One run.

    Attributes
    ----------
    path
        The output that was read.
    theory
        A known one, or as the files state it.
    items
        Its ionic steps, in order.
    """

    path: Path
    theory: LevelOfTheory
    items: list[LabelledConfiguration]


@dataclass(frozen=True, kw_only=True)
class Run:
    """The files of one run, before it is read.

    Attributes
    ----------
    stdout
        pw.x's, beside its XML.
    given
        pw.x's input.
    """

    path: Path
    kind: Kind
    stdout: Path | None = None
    given: Path | None = None


def read_calculations(
    folder: Path, known: Sequence[LevelOfTheory] = ()
) -> Iterator[Calculation | FwNnpError]:
    """Every run below `folder`, or the reason why a file is left out.

    Parameters
    ----------
    folder
        Or one output.
    known
        Levels of theory to which runs may belong, those of campaigns first.
    """
    runs: list[Run] = []
    stated: list[Stated] = []
    for run in find_runs(folder):
        try:
            stated.append(_stated(run, folder))
        except FwNnpError as error:
            yield error
        except _UNREADABLE as error:
            yield OutputUnreadable(f"cannot be read: {error!r}", place=str(run.path))
        else:
            runs.append(run)
    for run, theory in zip(runs, theories_of(stated, known), strict=True):
        try:
            steps = _steps(run)
        except FwNnpError as error:
            yield error
            continue
        except _UNREADABLE as error:
            yield OutputUnreadable(f"cannot be read: {error!r}", place=str(run.path))
            continue
        bad = {i: reason for i, step in enumerate(steps) if (reason := _doubt(step))}
        if bad:
            first = next(iter(bad))
            yield LabelError(
                f"{len(bad)} of {len(steps)} ionic steps are no labels: in step {first} "
                f"{bad[first]}",
                place=str(run.path),
                error_class="scf_not_converged",
            )
        good = [(i, step) for i, step in enumerate(steps) if i not in bad]
        if good:
            yield _calculation(run.path, theory, good)


# Whatever broken text makes of the readers.
_UNREADABLE = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, StopIteration,
    ArithmeticError, NotImplementedError, RuntimeError, *BROKEN,
)  # fmt: skip


def _calculation(
    path: Path, theory: LevelOfTheory, steps: Sequence[tuple[int, Step]]
) -> Calculation:
    configurations = [step.configuration for _, step in steps]
    trajectory = content_id("trj", [theory.id, *(cell.id for cell in configurations)])
    items = [
        LabelledConfiguration(
            configuration=step.configuration,
            label=Label(
                configuration_id=step.configuration.id,
                theory_id=theory.id,
                energy=step.energy,
                forces=step.forces,
                stress=step.stress,
                provenance={"source": {"file": path.name, "folder": path.parent.name, "frame": i}},
            ),
            trajectory=trajectory,
        )
        for i, step in steps
    ]
    return Calculation(path=path, theory=theory, items=items)


def _doubt(step: Step) -> str:
    """Why a step is no label; empty where it is one."""
    if not step.converged:
        return "the electronic cycle did not converge"
    if step.force_error > MAX_SCF_CORRECTION:
        return f"the cycle leaves an error of {step.force_error:.3g} eV/Å in the forces"
    arrays: list[FloatArray] = [step.forces, *([] if step.stress is None else [step.stress])]
    if not all(np.isfinite(array).all() for array in arrays) or not np.isfinite(step.energy):
        return "some numbers are not finite"
    net = float(np.abs(step.forces.sum(axis=0)).max())
    if net > max(MAX_TOTAL_FORCE, 1e-3 * len(step.forces)):
        return f"the forces add up to {net:.3g} eV/Å instead of zero"
    return ""


# ---------------------------------------------------------------- what is there


@dataclass
class _Found:
    """The files of each kind."""

    files: dict[Kind, list[Path]] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[Path]:
        return self.files.get(kind, [])


def find_runs(folder: Path) -> list[Run]:
    """The runs below `folder`; of two outputs of one run the better one.

    What a campaign tried before it succeeded (``attempt-1`` ...) is left out.
    """
    found = _Found()
    files = [folder] if folder.is_file() else [p for p in folder.rglob("*") if p.is_file()]
    for path in sorted(files):
        attempt = any(part.startswith("attempt-") for part in path.relative_to(folder).parts)
        if not attempt and (kind := _kind(path)):
            found.files.setdefault(kind, []).append(path)
    runs = [*_vasp_runs(found), *_pw_runs(found)]
    return sorted(runs, key=lambda run: run.path)


def is_output(path: Path) -> bool:
    """Whether a file is an output of VASP or pw.x that holds results."""
    return _kind(path) not in (None, "pw_input")


def _kind(path: Path) -> Kind | None:
    plain = Path(path.name.removesuffix(".gz").removesuffix(".bz2").removesuffix(".xz"))
    if plain.suffix.lower() in SKIPPED:
        return None
    try:
        with opened(path) as stream:
            head = stream.read(HEAD)
    except BROKEN:
        return None
    if b"\0" in head:
        return None
    if b"<modeling>" in head or plain.name.startswith("vasprun.xml"):
        return "vasprun"
    if b"<qes:espresso" in head or b"qes-1.0" in head:
        return "pw_xml"
    if OUTCAR.search(head) or plain.name.startswith("OUTCAR"):
        return "outcar"
    if b"Program PWSCF" in head:
        return "pw_stdout"
    given = re.search(rb"^\s*&(control|system)\b", head, re.IGNORECASE | re.MULTILINE)
    return "pw_input" if given else None


def _vasp_runs(found: _Found) -> Iterator[Run]:
    """An OUTCAR counts where no vasprun.xml beside it ends with the same energy."""
    both = {path.parent for path in found.of("outcar")}
    energies: dict[Path, list[float]] = {}
    for path in found.of("vasprun"):
        yield Run(path=path, kind="vasprun")
        if path.parent in both:
            energy = _last_number(path, rb'<i name="e_fr_energy">\s*(\S+)\s*</i>')
            energies.setdefault(path.parent, []).append(energy)
    for path in found.of("outcar"):
        mine = _last_number(path, rb"free  energy   TOTEN\s*=\s*(\S+)")
        if not any(abs(mine - energy) < 1e-3 for energy in energies.get(path.parent, [])):
            yield Run(path=path, kind="outcar")


def _last_number(path: Path, pattern: bytes) -> float:
    """The last match in a file, NaN for none."""
    try:
        with opened(path) as stream:
            matches = re.findall(pattern, stream.read())
        return float(matches[-1]) if matches else np.nan
    except (*BROKEN, ValueError):
        return np.nan


def _pw_runs(found: _Found) -> Iterator[Run]:
    """A standard output counts by itself where no XML at or below its place has its energy."""
    outputs = {path: read_stdout(text_of(path)) for path in found.of("pw_stdout")}
    taken: set[Path] = set()
    for path in found.of("pw_xml"):
        if (path.parent / f"{path.stem}.save" / "data-file-schema.xml").is_file():
            continue  # pw.x writes the same file twice
        energy = 2.0 * _last_number(path, rb"<etot>\s*(\S+)\s*</etot>")
        mine = next(
            (
                stdout
                for stdout, log in outputs.items()
                if stdout.parent in path.parents
                and stdout not in taken
                and abs(log.energy - energy) < SAME_ENERGY
            ),
            None,
        )
        taken |= {mine} if mine else set()
        given = _input_of(mine, found.of("pw_input")) if mine else None
        yield Run(path=path, kind="pw_xml", stdout=mine, given=given)
    for path in outputs:
        if path not in taken:
            yield Run(path=path, kind="pw_stdout", given=_input_of(path, found.of("pw_input")))


def _input_of(stdout: Path, inputs: Sequence[Path]) -> Path | None:
    """The input beside a standard output: that of its name, or the only one."""
    beside = [path for path in inputs if path.parent == stdout.parent]
    named = [path for path in beside if path.name.split(".")[0] == stdout.name.split(".")[0]]
    chosen = named if named else beside
    return chosen[0] if len(chosen) == 1 else None


# ---------------------------------------------------------------- reading one run


def _stated(run: Run, folder: Path) -> Stated:
    if run.kind in ("pw_xml", "pw_stdout"):
        xml = text_of(run.path) if run.kind == "pw_xml" else ""
        stdout = run.stdout if run.kind == "pw_xml" else run.path
        home = stdout.parent if stdout else run.path.parent
        text = text_of(stdout) if stdout else ""
        if run.kind == "pw_stdout":
            _require_finished(text, run.path)
        return read_stated(
            xml=xml,
            stdout=text,
            given=text_of(run.given) if run.given else "",
            folders=[home, *(p for p in home.parents if folder in (p, *p.parents))],
        )
    head = _head(run.path, _FIRST_STEP[run.kind])
    return (stated_by_vasprun if run.kind == "vasprun" else stated_by_outcar)(head, run.path)


def _require_finished(text: str, path: Path) -> None:
    log = read_stdout(text)
    if not log.finished:
        raise OutputUnreadable("the file is cut off: no 'JOB DONE'", place=str(path))
    if log.achieved is False:
        raise OutputUnreadable("an electronic cycle did not converge", place=str(path))


def _head(path: Path, end: bytes) -> str:
    """The text of a file before the line that holds `end`."""
    lines = []
    with opened(path) as stream:
        for line in stream:
            if end in line:
                break
            lines.append(line)
    return b"".join(lines).decode(errors="replace")


def _steps(run: Run) -> list[Step]:
    if run.kind == "pw_xml":
        return pw_xml_steps(run.path, text_of(run.stdout) if run.stdout else "")
    if run.kind == "pw_stdout":
        return pw_steps(run.path, text_of(run.given) if run.given else "")
    return vasp_steps(run.path, run.kind)
