"""The ionic steps of a finished run: through ASE's readers, and which of them converged."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import iread, read
from ase.units import create_units

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.errors import OutputUnreadable
from fw_nnp.core.records import Configuration, FloatArray, full_stress
from fw_nnp.core.units import BOHR, RYDBERG
from fw_nnp.core.unpacking import opened

from .espresso_output import parse_steps
from .espresso_stdout import (
    ACCURACY,
    ENERGY,
    FORCES,
    NOT_ACHIEVED,
    REMARK,
    THRESHOLD,
    TOLERANCE,
    force_errors,
    read_stdout,
)
from .vasp_output import (
    EXACT,
    ITERATION,
    MAX_CHANGE,
    NOT_REACHED,
    REACHED,
    ROUNDING,
    TIMING,
    last_change,
    outcar_settings,
    require_scf,
    settings_of,
)

SCSTEP = re.compile(r"<scstep>.*?</scstep>", re.DOTALL)
FREE_ENERGY = re.compile(r'<i name="e_fr_energy">\s*(\S+)\s*</i>')
BANDS_FOLLOW = "End of self-consistent calculation"
SAME_PLACE = 1e-4  # Å: an input and the rounded positions of its output


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One geometry with its answer.

    Attributes
    ----------
    energy
        Free energy, eV.
    forces, stress
        (N, 3) eV/Å; (3, 3) eV/Å³, positive in tension, or None.
    converged
        Whether its electronic cycle did.
    force_error
        What pw.x estimates that the unfinished cycle leaves in the forces, eV/Å rms.
    """

    configuration: Configuration
    energy: float
    forces: FloatArray
    stress: FloatArray | None
    converged: bool
    force_error: float = 0.0


def text_of(path: Path) -> str:
    """The text of a file, unpacked."""
    with opened(path) as stream:
        return stream.read().decode(errors="replace")


# ---------------------------------------------------------------- pw.x


def pw_xml_steps(path: Path, stdout: str = "") -> list[Step]:
    """Steps of pw.x's XML, with all digits.

    Parameters
    ----------
    stdout
        Text of the standard output, or empty: it tells the error of the forces.
    """
    steps = parse_steps(text_of(path), path)
    if not steps:
        raise OutputUnreadable("holds no self-consistent step: bands alone?", place=str(path))
    return _with_force_errors(
        [
            Step(
                configuration=Configuration(
                    cell=step.cell,
                    positions=step.positions,
                    numbers=Atoms(step.symbols).numbers,
                ),
                energy=step.energy,
                forces=step.forces,
                stress=step.stress,
                converged=step.converged,
            )
            for step in steps
        ],
        stdout,
    )


def _with_force_errors(steps: list[Step], stdout: str) -> list[Step]:
    """The steps with what a standard output says of their forces, where it is of them all."""
    errors = force_errors(stdout) if stdout else []
    if len(errors) != len(steps):
        return steps
    return [replace(s, force_error=error) for s, error in zip(steps, errors, strict=True)]


def pw_steps(path: Path, given: str) -> list[Step]:
    """Steps of the last run in a standard output of pw.x.

    Parameters
    ----------
    given
        Text of the input, or empty: its positions have more digits.
    """
    text = text_of(path)
    lines = text.splitlines()[read_stdout(text).start :]
    cycles = _pw_cycles(lines)
    last = "\n".join(_for_ase(lines)) + "\n"
    images = _images(StringIO(last), "espresso-out", path)
    if given:
        images[0], given = _sharpened(images[0], given)
    if len(cycles) != len(images):
        raise OutputUnreadable(
            f"{len(images)} geometries, but {len(cycles)} self-consistent energies",
            place=str(path),
        )
    old = create_units("2006")  # what ASE reads pw.x with
    scale = RYDBERG / old["Ry"]
    length = BOHR / old["Bohr"]
    steps = []
    for number, (image, (energy, converged)) in enumerate(zip(images, cycles, strict=True)):
        if not (number == 0 and given):
            _rescale(image, length, last if number else "")
        image.calc.results["free_energy"] = energy * old["Ry"]
        factors = (scale, scale / length, scale / length**3)
        steps.append(_step(image, converged, path, factors))
    return _with_force_errors(steps, text)


def _for_ase(lines: list[str]) -> Iterator[str]:
    """Without what ASE's reader takes for something else: remarks of pw.x; and without bands."""
    remark = False
    for line in lines:
        yield "" if remark or BANDS_FOLLOW in line else line
        remark = REMARK.match(line) is not None


def _rescale(image: Atoms, length: float, printed: str) -> None:
    """Multiply by `length` what ASE converted from bohr; `printed` shows what was in Å."""
    if "CELL_PARAMETERS (angstrom)" not in printed:
        in_angstrom = "ATOMIC_POSITIONS (angstrom)" in printed
        image.set_cell(image.cell.array * length, scale_atoms=not in_angstrom)


def _pw_cycles(lines: list[str]) -> list[tuple[float, bool]]:
    """Energy of each geometry, Ry, and whether its cycle reached what was asked for.

    A hybrid functional takes several cycles; ``!!`` marks the energy that ends the last one.
    """
    found: list[tuple[float, bool]] = []
    energy, reached, threshold = np.nan, np.inf, np.nan
    at_energy = pending = given_up = False
    for line in [*lines, FORCES]:
        if match := THRESHOLD.match(line):
            threshold = _number(match[1])
        elif match := ENERGY.match(line):
            energy, at_energy, pending = _number(match[1]), True, True
            reached = reached if line.startswith("!!") else np.inf
        elif (match := ACCURACY.match(line)) and at_energy:
            at_energy = False  # the final accuracy follows the final energy
            reached = _number(match[1])
        elif NOT_ACHIEVED.search(line):
            given_up = True
        elif FORCES in line and pending:
            found.append((energy, not given_up and not reached > threshold * TOLERANCE))
            reached, pending, given_up = np.inf, False, False
    return found


def _number(word: str) -> float:
    return float(word.replace("D", "e").replace("d", "e"))


def _sharpened(image: Atoms, given: str) -> tuple[Atoms, str]:
    """The atoms as the input states them, and the input, where it is about the same ones."""
    try:
        asked: Any = read(StringIO(given), format="espresso-in")
    except Exception:  # ASE does not know every input; then the output's digits must do
        return image, ""
    same = (
        list(asked.numbers) == list(image.numbers)
        and np.abs(asked.cell.array - image.cell.array).max() < SAME_PLACE
        and np.abs(asked.positions - image.positions).max() < SAME_PLACE
    )
    if same and "angstrom" in given.lower():  # what is in bohr there, ASE has converted, too
        image.cell, image.positions = asked.cell, asked.positions
        return image, given
    return image, ""


# ---------------------------------------------------------------- VASP


def vasp_steps(path: Path, kind: str) -> list[Step]:
    """Steps of a vasprun.xml or an OUTCAR."""
    text = text_of(path)
    if kind == "vasprun":
        converged = _vasprun_converged(text, path)
        images = _images(BytesIO(text.encode()), "vasp-xml", path)
    else:
        converged = _outcar_converged(text, path)
        images = _images(_Named(text, path), "vasp-out", path)
    if len(images) != len(converged):
        raise OutputUnreadable(
            f"{len(converged)} ionic steps, but {len(images)} geometries with energy and forces",
            place=str(path),
        )
    return [_step(image, fine, path) for image, fine in zip(images, converged, strict=True)]


def _vasprun_converged(text: str, path: Path) -> list[bool]:
    """Of each calculation whether it took fewer steps than NELM allows."""
    from xml.etree import ElementTree

    if not text.rstrip().endswith("</modeling>"):
        raise OutputUnreadable("the XML is cut off: no closing </modeling>", place=str(path))
    head, *calculations = text.split("<calculation>")
    settings = settings_of(ElementTree.fromstring((head + "</modeling>").encode()))
    require_scf(settings, path)
    most = int(float(settings.get("NELM", "60")))
    below = np.inf if settings.get("ALGO", "").lower() in EXACT else most
    change = MAX_CHANGE * max(float(settings.get("EDIFF", "1e-4")), ROUNDING)
    found = []
    for one in calculations:
        energies = _cycle(one)
        found.append(0 < len(energies) < below and not last_change(energies) > change)
    return found


def _cycle(calculation: str) -> list[float]:
    """The energy of each electronic step before the summary of a calculation."""
    energies, end = [], 0
    for step in SCSTEP.finditer(calculation):
        if "<energy>" in calculation[end : step.start()]:
            break
        end = step.end()
        said = None if 'name="edisp"' in step[0] else FREE_ENERGY.search(step[0])
        try:
            energies.append(float(said[1]) if said else np.nan)
        except ValueError:
            energies.append(np.nan)
    return energies


def _outcar_converged(text: str, path: Path) -> list[bool]:
    """Of each ionic step whether it reached EDIFF in fewer steps than NELM allows."""
    lines = text.splitlines()
    if TIMING not in text:
        raise OutputUnreadable("the file is cut off: no closing timing", place=str(path))
    settings = outcar_settings(lines)
    require_scf(settings, path)
    most = int(float(settings.get("NELM", "60")))
    cycles: dict[int, list[Any]] = {}  # ionic step -> [electronic steps, reached]
    ionic = 0
    for line in lines:
        if found := ITERATION.search(line):
            ionic = int(found[1])
            cycles.setdefault(ionic, [0, False])[0] = int(found[2])
        elif ionic and NOT_REACHED.search(line):
            cycles[ionic][0] = most
        elif ionic and REACHED.search(line):
            cycles[ionic][1] = True
    return [reached and steps < most for steps, reached in cycles.values()]


# ---------------------------------------------------------------- both


class _Named(StringIO):
    """Text with the name of its file: ASE's reader looks for a CONTCAR beside it."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.name = str(path)


def _images(stream: Any, kind: str, path: Path) -> list[Atoms]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images = [image for image in iread(stream, index=":", format=kind) if image.calc]
    if not images:
        raise OutputUnreadable("holds no finished ionic step", place=str(path))
    return images


def _step(
    image: Atoms,
    converged: bool,
    path: Path,
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Step:
    """A step of what ASE read; `factors` correct its units of energy, forces and stress."""
    results = image.calc.results
    if "forces" not in results or "energy" not in results:
        raise OutputUnreadable("a step has no energy or no forces", place=str(path))
    stress = results.get("stress")
    return Step(
        configuration=from_atoms(image),
        energy=factors[0] * float(results.get("free_energy", results["energy"])),
        forces=factors[1] * np.asarray(results["forces"]),
        stress=None if stress is None else factors[2] * full_stress(stress),
        converged=converged,
    )
