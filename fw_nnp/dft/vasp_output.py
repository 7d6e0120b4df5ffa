"""Reading VASP: vasprun.xml and OUTCAR, each of which alone holds a whole result.

The only place that converts units of VASP. ``e_fr_energy`` (TOTEN) contains the entropy of the
smearing: it is the free energy F whose derivative the forces are. VASP counts stress in kbar,
positive in compression; fw_nnp in eV/Å³, positive in tension.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from fw_nnp.core.errors import LabelError, NotConverged, OutputUnreadable
from fw_nnp.core.records import FloatArray
from fw_nnp.core.units import GPA

KBAR = 0.1 * GPA
MAX_TOTAL_FORCE = 0.02  # eV/Å, |sum of forces|: VASP prints them with the drift removed
MAX_CHANGE = 10.0  # of EDIFF: VASP's own criterion is 1
ROUNDING = 1e-8  # eV, of the energies in vasprun.xml
# ALGO and IALGO that diagonalise once, in a fixed potential: no self-consistency.
FIXED_POTENTIAL = {"none", "nothing", "eigenval", "subrot", "chi", "gw", "gw0", "bse", "tdhf"}
RESPONSE = ("LEPSILON", "LCALCEPS")
EXACT = {"exact", "e"}


@dataclass(frozen=True, kw_only=True, eq=False)
class VaspResult:
    """A proved result of VASP, for the last geometry of the run.

    Attributes
    ----------
    energy
        Free energy F, eV.
    forces, stress
        (N, 3) eV/Å; (3, 3) eV/Å³, positive in tension.
    cell, positions, symbols
        (3, 3) Å, (N, 3) Å; None and empty where read from an OUTCAR.
    entropy
        T S of the smearing, eV per atom; NaN where not printed.
    magnetization
        Total moment, μB; None without spin.
    """

    energy: float
    forces: FloatArray
    stress: FloatArray
    n_scf_steps: int
    version: str
    cell: FloatArray | None = None
    positions: FloatArray | None = None
    symbols: tuple[str, ...] = ()
    entropy: float = math.nan
    magnetization: float | None = None
    cpu: float = 0.0


# ---------------------------------------------------------------- vasprun.xml


def parse_vasprun(text: str, path: Path) -> VaspResult:
    """Prove the text of a vasprun.xml.

    Raises
    ------
    NotConverged
        The last self-consistency cycle took all the steps it was allowed.
    OutputUnreadable
        The file is empty or cut off.
    LabelError
        Class ``incomplete``: no self-consistency, forces or stress absent or not finite.
    """
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise OutputUnreadable(f"no complete vasprun.xml: {error}", place=str(path)) from None
    calculations = root.findall("calculation")
    if not calculations:
        raise OutputUnreadable("vasprun.xml holds no calculation", place=str(path))
    settings = settings_of(root)
    require_scf(settings, path)
    last = calculations[-1]
    steps = scf_steps(last)
    _require_convergence(steps, settings, path)
    forces = _varray(last.find("varray[@name='forces']"), "forces", path)
    stress = _varray(last.find("varray[@name='stress']"), "stress", path)
    structure = last.find("structure")
    if structure is None:
        raise OutputUnreadable("vasprun.xml holds no structure", place=str(path))
    cell = _varray(structure.find("crystal/varray[@name='basis']"), "basis", path)
    scaled = _varray(structure.find("varray[@name='positions']"), "positions", path)
    volume = abs(float(np.linalg.det(cell)))
    energy = _energy(last, path) - _real(settings.get("PSTRESS", "0")) * KBAR * volume
    _require_same_energy(steps, energy, path)
    _require_sane(forces, stress, len(scaled), path)
    return VaspResult(
        energy=energy,
        forces=forces,
        stress=_stress(stress),
        n_scf_steps=len(steps),
        version=root.findtext("generator/i[@name='version']", "").strip(),
        cell=cell,
        positions=scaled @ cell,
        symbols=tuple(
            (row.findtext("c") or "").strip()
            for row in root.findall("atominfo/array[@name='atoms']/set/rc")
        ),
        entropy=_entropy(steps, len(scaled)),
    )


def settings_of(root: ElementTree.Element) -> dict[str, str]:
    """INCAR keys -> values: what was used (``parameters``), then what was asked for."""
    found: dict[str, str] = {}
    # What was used stands before what was asked for; of two NELM the first is of the SCF.
    for block in ("parameters", "incar"):
        for element in root.iterfind(f"{block}//i"):
            if name := element.get("name"):
                found.setdefault(name.upper(), (element.text or "").strip())
    return found


def require_scf(settings: dict[str, str], path: Path) -> None:
    """Raise where the run was none: bands in a fixed density, response functions, images."""
    algo = settings.get("ALGO", "normal").lower()
    fixed = _whole(settings.get("ICHARG"), 2) >= 10 or algo in FIXED_POTENTIAL
    if fixed:
        raise _incomplete("no self-consistency: the density was kept (ICHARG, ALGO)", path)
    response = any(settings.get(key, "F").upper().startswith(("T", ".T")) for key in RESPONSE)
    if response or _whole(settings.get("IBRION"), -1) in (5, 6, 7, 8):
        raise _incomplete("a response calculation: what it ends with is no single point", path)
    if _whole(settings.get("IMAGES"), 0) > 0:
        raise _incomplete("forces of a chain of images hold those of its springs", path)


def scf_steps(calculation: ElementTree.Element) -> list[ElementTree.Element]:
    """The electronic steps of the cycle; what is done with its density comes after its energy."""
    steps = []
    for child in calculation:
        if child.tag == "energy":
            break
        if child.tag == "scstep":
            steps.append(child)
    return steps


def last_change(energies: list[float]) -> float:
    """By how much the last electronic step changed the energy, eV; 0 for a single step.

    NaN where dispersion came on top of the last one.
    """
    return abs(energies[-1] - energies[-2]) if len(energies) > 1 else 0.0


def _require_convergence(
    steps: list[ElementTree.Element], settings: dict[str, str], path: Path
) -> None:
    most = _whole(settings.get("NELM"), 60)
    if not steps:
        raise _incomplete("the last calculation holds no electronic step", path)
    if len(steps) >= most and settings.get("ALGO", "").lower() not in EXACT:
        raise NotConverged(
            f"the last cycle took all {most} steps that NELM allows", place=str(path)
        )
    energies = [
        math.nan if _adds_dispersion(s) else _real(s.findtext("energy/i[@name='e_fr_energy']"))
        for s in steps
    ]
    change = last_change(energies)
    if change > MAX_CHANGE * max(_real(settings.get("EDIFF", "1e-4")), ROUNDING):
        raise NotConverged(
            f"the last cycle stopped while its energy changed by {change:.2g} eV", place=str(path)
        )


def _energy(calculation: ElementTree.Element, path: Path) -> float:
    value = _real(calculation.findtext("energy/i[@name='e_fr_energy']"))
    if not math.isfinite(value):
        raise _incomplete("no finite energy in vasprun.xml", path)
    return value


def _require_same_energy(steps: list[ElementTree.Element], energy: float, path: Path) -> None:
    """The last electronic step and the summary state one energy; dispersion comes on top."""
    last = _real(steps[-1].findtext("energy/i[@name='e_fr_energy']"))
    if math.isfinite(last) and abs(last - energy) > 1e-3 and not _adds_dispersion(steps[-1]):
        raise OutputUnreadable(
            f"vasprun.xml contradicts itself: energies {last:.6f} and {energy:.6f} eV",
            place=str(path),
        )


def _adds_dispersion(step: ElementTree.Element) -> bool:
    return step.find("energy/i[@name='edisp']") is not None


def _entropy(steps: list[ElementTree.Element], n_atoms: int) -> float:
    return _real(steps[-1].findtext("energy/i[@name='eentropy']")) / max(n_atoms, 1)


def _varray(element: ElementTree.Element | None, name: str, path: Path) -> FloatArray:
    if element is None:
        raise _incomplete(f"no {name} in vasprun.xml", path)
    rows = [[_real(word) for word in (row.text or "").split()] for row in element.findall("v")]
    if not rows or any(len(row) != 3 for row in rows):
        raise _incomplete(f"{name} holds no rows of three numbers", path)
    return np.array(rows)


# ---------------------------------------------------------------- OUTCAR

REACHED = re.compile(r"aborting loop because EDIFF is reached")
NOT_REACHED = re.compile(r"aborting loop EDIFF was not reached|EDIFF was not reached")
ITERATION = re.compile(r"Iteration\s+(\d+)\(\s*(\d+)\)")
TOTEN = re.compile(r"^\s*free  energy   TOTEN\s*=\s*(\S+)\s*eV")
IN_KB = re.compile(r"^\s*in kB\s+(.*)$")
TIMING = "General timing and accounting informations"


def parse_outcar(text: str, path: Path) -> VaspResult:
    """Prove the text of an OUTCAR; see `parse_vasprun`."""
    lines = text.splitlines()
    if not any(TIMING in line for line in reversed(lines)):
        raise OutputUnreadable("the OUTCAR has no end", place=str(path))
    settings = outcar_settings(lines)
    require_scf(settings, path)
    n_atoms = _whole(settings.get("NIONS"), 0)
    start, steps = _last_cycle(lines)
    rest = lines[start:]
    reached = any(REACHED.search(line) for line in rest)
    most = _whole(settings.get("NELM"), 60)
    # Up to 5.4.4 VASP says "reached" after the last step that NELM allows, whatever it reached.
    if not reached or steps >= most or any(NOT_REACHED.search(line) for line in rest):
        raise NotConverged(
            f"the last cycle ended after {steps} of {most} steps without reaching EDIFF",
            place=str(path),
        )
    energies = [_real(m[1]) for line in rest if (m := TOTEN.match(line))]
    kbar = [m[1] for line in rest if (m := IN_KB.match(line))]
    forces = _outcar_forces(rest, path)
    if not energies or not math.isfinite(energies[-1]):
        raise _incomplete("no finite energy in the OUTCAR", path)
    if not kbar:
        raise _incomplete("no stress in the OUTCAR", path)
    row = [_real(word) for word in kbar[-1].split()]
    if len(row) != 6:
        raise _incomplete("stress holds no six numbers", path)
    xx, yy, zz, xy, yz, zx = row
    stress = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
    _require_sane(forces, stress, n_atoms or len(forces), path)
    return VaspResult(
        energy=energies[-1],
        forces=forces,
        stress=_stress(stress),
        n_scf_steps=steps,
        version=lines[0].split()[0].removeprefix("vasp.") if lines[0].split() else "",
        entropy=_outcar_entropy(rest, n_atoms),
        magnetization=outcar_moment(text),
        cpu=outcar_cpu(text),
    )


def outcar_moment(text: str) -> float | None:
    """Total moment of the last step in an OUTCAR, μB; None without spin."""
    found = re.findall(r"number of electron\s+\S+\s+magnetization\s+(-?[\d.]+)", text)
    return _real(found[-1]) if found else None


def outcar_cpu(text: str) -> float:
    """Seconds of CPU time that the OUTCAR states, of one rank."""
    found = re.findall(r"Total CPU time used \(sec\):\s*(\S+)", text)
    value = _real(found[-1]) if found else 0.0
    return value if math.isfinite(value) else 0.0


def outcar_settings(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    pattern = re.compile(
        r"\b(NELM|ICHARG|NIONS|ALGO|IALGO|IBRION|LEPSILON|LCALCEPS)\s*=\s*([^\s;]+)"
    )
    for line in lines:
        if images := re.search(r"\bIMAGES\s*=?\s*(\d+)", line):
            found.setdefault("IMAGES", images[1])
        found.update(pattern.findall(line))  # what is used comes after the echo of the INCAR
        if "Iteration" in line:
            break
    return found


def _last_cycle(lines: list[str]) -> tuple[int, int]:
    """Index of the line that opens the last self-consistency cycle, and its number of steps."""
    start, ionic, steps = 0, 0, 0
    for i, line in enumerate(lines):
        if found := ITERATION.search(line):
            if int(found[1]) != ionic:
                ionic, start = int(found[1]), i
            steps = int(found[2])
    return start, steps


def _outcar_forces(lines: list[str], path: Path) -> FloatArray:
    starts = [i for i, line in enumerate(lines) if "TOTAL-FORCE" in line]
    if starts and "(ML)" in lines[starts[-1]]:
        raise _incomplete("the last forces are of VASP's machine-learned force field", path)
    if not starts:
        raise _incomplete("no forces in the OUTCAR", path)
    rows = list(_table(lines[starts[-1] + 2 :]))
    if not rows or any(len(row) != 6 for row in rows):
        raise _incomplete("forces hold no finite numbers for every atom", path)
    return np.array(rows)[:, 3:]


def _table(lines: list[str]) -> Iterator[list[float]]:
    for line in lines:
        if "-----" in line:
            return
        yield [_real(word) for word in line.split()]


def _outcar_entropy(lines: list[str], n_atoms: int) -> float:
    found = [m[1] for line in lines if (m := re.search(r"EENTRO\s*=\s*(\S+)", line))]
    return _real(found[-1]) / max(n_atoms, 1) if found else math.nan


# ---------------------------------------------------------------- both


def _require_sane(forces: FloatArray, stress: FloatArray, n_atoms: int, path: Path) -> None:
    if len(forces) != n_atoms:
        raise _incomplete(f"{len(forces)} forces on {n_atoms} atoms", path)
    if not np.isfinite(forces).all() or not np.isfinite(stress).all() or stress.shape != (3, 3):
        raise _incomplete("forces or stress hold no finite numbers", path)
    net = float(np.abs(forces.sum(axis=0)).max())
    if net > max(MAX_TOTAL_FORCE, 1e-3 * n_atoms):
        raise _incomplete(f"the forces add up to {net:.3g} eV/Å instead of zero", path)


def _stress(kbar: FloatArray) -> FloatArray:
    return -0.5 * (kbar + kbar.T) * KBAR


def _incomplete(message: str, path: Path) -> LabelError:
    return LabelError(message, place=str(path), error_class="incomplete")


def _real(text: str | None) -> float:
    try:
        return float((text or "nan").replace("D", "E"))
    except ValueError:
        return math.nan


def _whole(text: str | None, absent: int) -> int:
    value = _real(text)
    return int(value) if math.isfinite(value) else absent


def energy_changes(oszicar: str) -> list[float]:
    """|dE| of each electronic step of the last cycle in an OSZICAR, eV."""
    found: list[float] = []
    for line in oszicar.splitlines():
        if match := re.match(r"^\s*[A-Z]{2,4}\s*:\s*(\d+)\s+\S+\s+(\S+)", line):
            if int(match[1]) == 1:
                found = []
            found.append(abs(_real(match[2])))
    return [value for value in found if math.isfinite(value)]
