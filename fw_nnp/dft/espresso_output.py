"""Reading pw.x: the XML proves success, the standard output adds the SCF correction to forces.

The only place that converts units of Quantum ESPRESSO. With smearing, pw.x's total energy
(``etot``) already contains -TS (``demet``): it is the free energy F whose derivative the forces
are. pw.x counts stress positive in compression, fw_nnp positive in tension; the tests check both
by finite differences.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from fw_nnp.core.errors import LabelError, NotConverged, OutputUnreadable
from fw_nnp.core.records import Configuration, FloatArray
from fw_nnp.core.units import BOHR, HARTREE

MAX_TOTAL_FORCE = 0.01  # eV/Å, |sum of forces|
MAX_SCF_CORRECTION = 0.005  # eV/Å, rms per component
MAX_SCF_ERROR = 2.1  # of conv_thr: versions differ by the factor between Ry and hartree
STATES_CONVERGENCE = (6, 6)  # version from which on the XML says whether the SCF converged
MAX_TOP_OCCUPATION = 0.01  # of the highest band: more is missing above it
POSITION_TOLERANCE = 1e-5  # Å


@dataclass(frozen=True, kw_only=True, eq=False)
class PwResult:
    """A proved result of pw.x.

    Attributes
    ----------
    energy
        Free energy F = E - TS, eV.
    forces, stress
        (N, 3) eV/Å; (3, 3) eV/Å³, positive in tension.
    cell, positions, symbols
        What was computed: (3, 3) Å, (N, 3) Å, element symbols.
    converged
        True; None where the XML does not say (before version 6.6), and the standard output must.
    top_occupation
        Largest occupation of the highest band; 0 without smearing, where it is full.
    calculation
        ``scf``, ``relax`` ...
    magnetization, absolute_magnetization
        Total moment and integral of its absolute density, μB per cell; None without spin.
    cpu
        CPU seconds of all ranks.
    """

    energy: float
    forces: FloatArray
    stress: FloatArray
    cell: FloatArray
    positions: FloatArray
    symbols: list[str]
    n_scf_steps: int
    converged: bool | None
    top_occupation: float
    calculation: str
    magnetization: float | None
    absolute_magnetization: float | None
    version: str
    cpu: float


def read_xml(path: Path) -> PwResult:
    """Read and prove ``data-file-schema.xml``; see `parse_xml`."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise OutputUnreadable(f"no complete XML: {error}", place=str(path)) from None
    return parse_xml(text, path)


def parse_xml(text: str, path: Path) -> PwResult:
    """Prove the text of an XML file of pw.x.

    Parameters
    ----------
    path
        Where it was, for messages.

    Raises
    ------
    NotConverged
        The SCF did not converge.
    OutputUnreadable
        The file is absent or cut off.
    LabelError
        Class ``incomplete``: forces or stress absent or not finite, or forces with a net force.
    """
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise OutputUnreadable(f"no complete XML: {error}", place=str(path)) from None
    output = root.find("output")
    if output is None:
        raise OutputUnreadable("the XML holds no output", place=str(path))
    steps, converged = _convergence(root, output, path)
    structure = output.find("atomic_structure")
    if structure is None:
        raise OutputUnreadable("the XML holds no structure", place=str(path))
    atoms = structure.findall("atomic_positions/atom")
    forces = _array(output, "forces", path).reshape(-1, 3) * HARTREE / BOHR
    stress = -_array(output, "stress", path).reshape(3, 3) * HARTREE / BOHR**3
    if len(forces) != len(atoms) or not atoms:
        raise _incomplete(f"{len(forces)} forces on {len(atoms)} atoms", path)
    net = float(np.abs(forces.sum(axis=0)).max())
    if net > MAX_TOTAL_FORCE:
        raise _incomplete(f"the forces add up to {net:.3g} eV/Å instead of zero", path)
    creator = root.find("general_info/creator")
    return PwResult(
        energy=float(_array(output, "total_energy/etot", path)[0]) * HARTREE,
        forces=forces,
        stress=0.5 * (stress + stress.T),
        cell=BOHR * np.array([_array(structure, f"cell/a{i}", path) for i in (1, 2, 3)]),
        positions=BOHR * np.array([_array(atom, ".", path) for atom in atoms]),
        symbols=[re.sub(r"[\d_-].*", "", atom.get("name", "")) for atom in atoms],
        n_scf_steps=steps,
        converged=converged,
        top_occupation=_top_occupation(output),
        calculation=_calculation(root),
        magnetization=_moment(output, "total"),
        absolute_magnetization=_moment(output, "absolute"),
        version=creator.get("VERSION", "") if creator is not None else "",
        cpu=_cpu(root),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class PwStep:
    """One geometry of a run of pw.x, with its answer.

    Attributes
    ----------
    energy
        Free energy F = E - TS, eV.
    forces, stress
        (N, 3) eV/Å; (3, 3) eV/Å³, positive in tension, or None where it was not asked for.
    cell, positions, symbols
        (3, 3) Å, (N, 3) Å, element symbols.
    converged
        Whether its SCF did.
    """

    energy: float
    forces: FloatArray
    stress: FloatArray | None
    cell: FloatArray
    positions: FloatArray
    symbols: list[str]
    converged: bool


def parse_steps(text: str, path: Path) -> list[PwStep]:
    """Every geometry of an XML file of pw.x: one of a single point, all of a relaxation or MD.

    At its end a relaxation states new positions beside the forces of the old ones, so that of
    moving atoms only the steps count.

    Raises
    ------
    NotConverged, OutputUnreadable, LabelError
        As `parse_xml` for a single point; a step without energy or forces.
    """
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise OutputUnreadable(f"no complete XML: {error}", place=str(path)) from None
    if _calculation(root) != "scf":
        threshold = _float(root.findtext("input/electron_control/conv_thr"))
        return [_step(step, path, threshold) for step in root.findall("step")]
    output = root.find("output")
    if output is None:
        raise OutputUnreadable("the XML holds no output", place=str(path))
    _convergence(root, output, path)
    return [_step(output, path)]


def _step(element: ElementTree.Element, path: Path, threshold: float = math.inf) -> PwStep:
    structure = element.find("atomic_structure")
    if structure is None:
        raise OutputUnreadable("the XML holds no structure", place=str(path))
    atoms = structure.findall("atomic_positions/atom")
    forces = _array(element, "forces", path).reshape(-1, 3) * HARTREE / BOHR
    if len(forces) != len(atoms) or not atoms:
        raise _incomplete(f"{len(forces)} forces on {len(atoms)} atoms", path)
    stress = None
    if element.find("stress") is not None:
        stress = -_array(element, "stress", path).reshape(3, 3) * HARTREE / BOHR**3
    said = element.findtext("scf_conv/convergence_achieved", "true")  # absent before 6.6
    error = _float(element.findtext("scf_conv/scf_error"), 0.0)
    return PwStep(
        energy=float(_array(element, "total_energy/etot", path)[0]) * HARTREE,
        forces=forces,
        stress=None if stress is None else 0.5 * (stress + stress.T),
        cell=BOHR * np.array([_array(structure, f"cell/a{i}", path) for i in (1, 2, 3)]),
        positions=BOHR * np.array([_array(atom, ".", path) for atom in atoms]),
        symbols=[re.sub(r"[\d_-].*", "", atom.get("name", "")) for atom in atoms],
        converged=said.strip() == "true" and not error > MAX_SCF_ERROR * threshold,
    )


def require_same(result: PwResult, configuration: Configuration, path: Path) -> None:
    """Raise OutputUnreadable unless the output is about `configuration`."""
    same = result.symbols == configuration.symbols and all(
        np.abs(a - b).max() < POSITION_TOLERANCE
        for a, b in (
            (result.cell, configuration.cell),
            (result.positions, configuration.positions),
        )
    )
    if not same:
        raise OutputUnreadable(
            "the output is about other atoms than the input",
            place=str(path),
            remedy="two calculations share a directory?",
        )


def _convergence(
    root: ElementTree.Element, output: ElementTree.Element, path: Path
) -> tuple[int, bool | None]:
    """Number of SCF steps, and whether the XML states that the cycle converged."""
    scf = output.find("convergence_info/scf_conv")
    if scf is None:
        raise OutputUnreadable("the XML does not say whether the SCF converged", place=str(path))
    steps = _integer(scf.findtext("n_scf_steps"))
    error = _float(scf.findtext("scf_error"))
    achieved = scf.findtext("convergence_achieved", "").strip()
    threshold = _float(root.findtext("input/electron_control/conv_thr"))
    # pw.x 7.2 writes "true" where scf_must_converge is false, whatever was reached.
    if achieved == "false" or error > MAX_SCF_ERROR * threshold:
        raise NotConverged(
            f"SCF not converged after {steps} steps (error {2 * error:.2g} Ry)", place=str(path)
        )
    if achieved != "true" and _version(root) >= STATES_CONVERGENCE:
        raise OutputUnreadable("the XML does not say whether the SCF converged", place=str(path))
    return steps, True if achieved == "true" else None


def _calculation(root: ElementTree.Element) -> str:
    return root.findtext("input/control_variables/calculation", "scf").strip()


def _version(root: ElementTree.Element) -> tuple[int, ...]:
    creator = root.find("general_info/creator")
    text = creator.get("VERSION", "") if creator is not None else ""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _incomplete(message: str, path: Path) -> LabelError:
    return LabelError(message, place=str(path), error_class="incomplete")


def _integer(text: str | None) -> int:
    return int(_float(text, 0.0))


def _float(text: str | None, absent: float = math.nan) -> float:
    try:
        return float((text or "").strip() or absent)
    except ValueError:
        return absent


def _numbers(element: ElementTree.Element) -> FloatArray:
    return np.array([float(word) for word in (element.text or "").split()])


def _array(parent: ElementTree.Element, name: str, path: Path) -> FloatArray:
    element = parent.find(name)
    if element is None:
        raise _incomplete(f"no {name} in the XML", path)
    try:
        values = _numbers(element)
    except ValueError:
        values = np.array([np.nan])  # Fortran's ******
    if not len(values) or not np.isfinite(values).all():
        raise _incomplete(f"{name} holds no finite numbers", path)
    return values


def _top_occupation(output: ElementTree.Element) -> float:
    bands = output.find("band_structure")
    if bands is None or bands.findtext("occupations_kind", "").strip() != "smearing":
        return 0.0
    spins = 2 if bands.findtext("lsda", "").strip() == "true" else 1
    tops = [0.0]
    for element in bands.findall("ks_energies/occupations"):
        occupations = _numbers(element).reshape(spins, -1)
        tops.append(float(np.abs(occupations[:, -1]).max()))
    return max(tops)


def _moment(output: ElementTree.Element, name: str) -> float | None:
    """Total or absolute moment of a run with collinear spin."""
    text = output.findtext(f"magnetization/{name}")
    spin = output.findtext("magnetization/lsda", "").strip() == "true"
    return _float(text) if spin and text else None


def _cpu(root: ElementTree.Element) -> float:
    ranks = float(root.findtext("parallel_info/nprocs", "1"))
    return ranks * float(root.findtext("timing_info/total/cpu", "0"))
