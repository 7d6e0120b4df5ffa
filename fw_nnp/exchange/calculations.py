"""Trees of finished calculations: every ``vasprun.xml``, ``OUTCAR`` and pw.x output below a folder.

Each file is read by ASE's own reader, every ionic step is a frame, and all steps of one file
are one trajectory. The level of theory is read from the file itself: the settings that change
the answer, as the code wrote them. A file that was cut off or did not converge is named, not
imported.
"""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ase import Atoms
from ase.io import iread

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.errors import OutputUnreadable
from fw_nnp.core.hashing import content_id
from fw_nnp.core.records import Label, LabelledConfiguration, LevelOfTheory

_FORMATS = {"vasprun.xml": "vasp-xml", "OUTCAR": "vasp-out"}
_PW = b"Program PWSCF"
_HEAD = 4096  # bytes in which pw.x says its name


@dataclass(frozen=True, kw_only=True, eq=False)
class Calculation:
    """One output file.

    Attributes
    ----------
    theory
        As the file states it.
    items
        Its ionic steps, in order.
    """

    path: Path
    theory: LevelOfTheory
    items: list[LabelledConfiguration]


def read_calculations(folder: Path) -> Iterator[Calculation | OutputUnreadable]:
    """Every calculation below `folder`, or the reason why a file is left out.

    Of a folder with both, ``vasprun.xml`` is read and ``OUTCAR`` is not.
    """
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.name.removesuffix(".gz")
        kind = next((kind for key, kind in _FORMATS.items() if name.startswith(key)), "")
        if kind == "vasp-out" and any(path.parent.glob("vasprun.xml*")):
            continue
        if not kind and path.suffix in (".out", ".pwo", ".log", ".gz") and _is_pw(path):
            kind = "espresso-out"
        if kind:
            try:
                yield read_calculation(path, kind)
            except OutputUnreadable as error:
                yield error


def read_calculation(path: Path, kind: str) -> Calculation:
    """One output file of the ASE format `kind`.

    Raises
    ------
    OutputUnreadable
        Cut off, unconverged, or without forces.
    """
    try:
        text = _text(path)
        theory = {
            "vasp-xml": _theory_of_vasprun,
            "vasp-out": _theory_of_outcar,
            "espresso-out": _theory_of_pw,
        }[kind](text, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            steps = list(iread(path, index=":", format=kind))
        trajectory = content_id("trj", [theory.id, *(from_atoms(step).id for step in steps)])
        items = [_item(step, i, path, theory, trajectory) for i, step in enumerate(steps)]
    except OutputUnreadable:
        raise
    except Exception as error:  # whatever ASE's readers raise on broken text
        raise OutputUnreadable(f"cannot be read: {error!r}", place=str(path)) from error
    if not items:
        raise OutputUnreadable("holds no finished ionic step", place=str(path))
    return Calculation(path=path, theory=theory, items=items)


def _item(
    step: Atoms, number: int, path: Path, theory: LevelOfTheory, trajectory: str
) -> LabelledConfiguration:
    results = step.calc.results if step.calc else {}
    if "forces" not in results or "energy" not in results:
        raise OutputUnreadable(f"step {number} has no energy or no forces", place=str(path))
    configuration = from_atoms(step)
    label = Label(
        configuration_id=configuration.id,
        theory_id=theory.id,
        energy=float(results.get("free_energy", results["energy"])),
        forces=results["forces"],
        stress=results.get("stress"),
        provenance={"source": {"file": path.name, "folder": path.parent.name, "frame": number}},
    )
    return LabelledConfiguration(configuration=configuration, label=label, trajectory=trajectory)


def _text(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return data.decode(errors="replace")


def _is_pw(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            return _PW in head.read(_HEAD)
    except (OSError, EOFError):
        return False


# ---------------------------------------------------------------- levels of theory

_INCAR = (
    "PREC", "ENCUT", "ENMAX", "ENAUG", "EDIFF", "ISMEAR", "SIGMA", "ISPIN", "LREAL", "ALGO",
    "IALGO", "GGA", "METAGGA", "IVDW", "LUSE_VDW", "LDAU", "LHFCALC", "AEXX", "HFSCREEN", "LASPH",
    "LNONCOLLINEAR", "LSORBIT", "NELECT", "KSPACING", "ADDGRID",
)  # fmt: skip


def _theory_of_vasprun(text: str, path: Path) -> LevelOfTheory:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise OutputUnreadable(f"the XML is cut off: {error}", place=str(path)) from None
    parameters: dict[str, Any] = {}
    for node in root.iterfind("parameters//i"):
        if node.get("name") in _INCAR and node.get("name") != "NELECT":
            parameters[str(node.get("name"))] = (node.text or "").strip()
    limit = int(float(_one(root, "parameters//i[@name='NELM']", "60")))
    for calculation in root.iterfind("calculation"):
        if len(calculation.findall("scstep")) >= limit:
            raise OutputUnreadable(
                f"an electronic cycle took all of its {limit} steps: not converged",
                place=str(path),
            )
    titles = [
        (columns[4].text or "").strip()
        for row in root.iterfind("atominfo/array[@name='atomtypes']/set/rc")
        if len(columns := row.findall("c")) > 4
    ]
    kpoints = root.find("kpoints")
    grid = [
        " ".join((v.text or "").split())
        for v in (kpoints.iterfind("generation/v") if kpoints is not None else ())
    ]
    listed = [
        " ".join((v.text or "").split())
        for v in (kpoints.iterfind("varray[@name='kpointlist']/v") if kpoints is not None else ())
    ]
    settings = {"parameters": parameters, "potcar": titles, "kpoints": grid or listed}
    return LevelOfTheory(code="vasp", settings=settings)


def _one(root: ElementTree.Element, query: str, default: str) -> str:
    node = root.find(query)
    return default if node is None or not node.text else node.text.strip()


def _theory_of_outcar(text: str, path: Path) -> LevelOfTheory:
    if "General timing and accounting" not in text:
        raise OutputUnreadable("the file is cut off: no closing timing", place=str(path))
    if "aborting loop because EDIFF is reached" not in text:
        raise OutputUnreadable("no electronic cycle reached EDIFF", place=str(path))
    parameters = {}
    for name in _INCAR:
        found = re.search(rf"^\s*{name}\s*=\s*(\S+)", text, re.MULTILINE)
        if found and name != "NELECT":
            parameters[name] = found[1].rstrip(";")
    titles = [" ".join(t.split()) for t in re.findall(r"^\s*TITEL\s*=\s*(.+)$", text, re.MULTILINE)]
    points = re.search(r"Found\s+(\d+)\s+irreducible k-points", text)
    grid = re.search(r"generate k-points for:\s+(.+)$", text, re.MULTILINE)
    return LevelOfTheory(
        code="vasp",
        settings={
            "parameters": parameters,
            "potcar": titles,
            "kpoints": [" ".join(grid[1].split())] if grid else [points[1] if points else ""],
        },
    )


_PW_LINES = {
    "ecutwfc": r"kinetic-energy cutoff\s*=\s*([\d.]+\s*Ry)",
    "ecutrho": r"charge density cutoff\s*=\s*([\d.]+\s*Ry)",
    "functional": r"Exchange-correlation\s*=\s*(.+)$",
    "kpoints": r"number of k points\s*=\s*(.+)$",
    "conv_thr": r"convergence threshold\s*=\s*(\S+)",
}


def _theory_of_pw(text: str, path: Path) -> LevelOfTheory:
    if "JOB DONE" not in text:
        raise OutputUnreadable("the file is cut off: no 'JOB DONE'", place=str(path))
    if "convergence NOT achieved" in text:
        raise OutputUnreadable("an electronic cycle did not converge", place=str(path))
    settings: dict[str, Any] = {}
    for name, pattern in _PW_LINES.items():
        found = re.search(pattern, text, re.MULTILINE)
        settings[name] = " ".join(found[1].split()) if found else ""
    settings["pseudopotentials"] = sorted(set(re.findall(r"MD5 check sum:\s*(\w+)", text)))
    settings["spin"] = "Starting magnetic structure" in text
    return LevelOfTheory(code="espresso", settings=settings)
