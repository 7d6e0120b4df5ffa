"""Reading the level of theory from the files of a pw.x run: XML, standard output, input."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from fw_nnp.core.records import FloatArray
from fw_nnp.core.units import BOHR

from .espresso_stated import EspressoStated, physics_of
from .stated import Grid
from .theory import SHIPPED

SMEARINGS = {
    "mv": ("mv", "marzari-vanderbilt", "cold", "m-v"),
    "mp": ("mp", "methfessel-paxton", "m-p"),
    "fd": ("fd", "fermi-dirac", "f-d"),
    "gaussian": ("gaussian", "gauss"),
}


def read_stated(*, xml: str, stdout: str, given: str, folders: Iterable[Path]) -> EspressoStated:
    """What the texts of a run say; the XML says most, then the input, then the standard output.

    Parameters
    ----------
    xml, stdout, given
        Texts; empty where there is no such file. One of the first two is there.
    folders
        Where its pseudopotentials may lie.
    """
    if xml:
        return _of_xml(ElementTree.fromstring(xml.encode()), stdout, given, folders)
    return _of_stdout(stdout, given, folders)


def _of_xml(
    root: ElementTree.Element, stdout: str, given: str, folders: Iterable[Path]
) -> EspressoStated:
    def text(name: str, absent: str = "") -> str:
        return (root.findtext(f"input/{name}") or absent).strip()

    creator = root.find("general_info/creator")
    smearing = root.find("input/bands/smearing")
    structure = root.find("output/atomic_structure")
    cell = [_numbers(structure.findtext(f"cell/a{i}") if structure else "") for i in (1, 2, 3)]
    first = root.find("step/atomic_structure")
    if first is not None:  # a relaxation ends in another cell than it began in
        cell = [_numbers(first.findtext(f"cell/a{i}")) for i in (1, 2, 3)]
    mesh = root.find("input/k_points_IBZ/monkhorst_pack")
    listed = [_numbers(p.text) for p in root.iterfind("input/k_points_IBZ/k_point")]
    spread = text("bands/occupations") == "smearing"
    pseudos = {
        _element(node.get("name", "")): (
            (node.findtext("pseudo_file") or "").strip(),
            float(node.findtext("starting_magnetization") or 0.0),
        )
        for node in root.iterfind("input/atomic_species/species")
    }
    degauss = float(smearing.get("degauss", 0.0)) if smearing is not None and spread else 0.0
    return EspressoStated(
        version=creator.get("VERSION", "") if creator is not None else "",
        ecutwfc=2.0 * float(text("basis/ecutwfc")),
        ecutrho=2.0 * float(text("basis/ecutrho") or 4.0 * float(text("basis/ecutwfc"))),
        smearing=_smearing(smearing.text or "") if smearing is not None and spread else "",
        degauss=2.0 * degauss,
        conv_thr=2.0 * float(text("electron_control/conv_thr", "nan")),
        grid=_mesh(mesh.attrib, BOHR * np.array(cell)) if mesh is not None else None,
        points="; ".join(" ".join(f"{x:.6g}" for x in point) for point in listed),
        n_bands=int(text("bands/nbnd") or root.findtext("output/band_structure/nbnd") or 0),
        n_electrons=float(root.findtext("output/band_structure/nelec") or 0.0),
        spin=text("spin/lsda") == "true",
        input_dft=_enforced(stdout, given),
        species=_species(pseudos, _md5(stdout), [text("control_variables/pseudo_dir")], folders),
        extra=_extra_of_xml(root, text("bands/occupations")),
    )


def _extra_of_xml(root: ElementTree.Element, occupations: str) -> dict[str, Any]:
    """What changes the answer and a theory has no key for, as &system or the XML calls it."""
    found: dict[str, Any] = {}
    if occupations and occupations != "smearing":
        found["occupations"] = occupations
    charge = float(root.findtext("input/bands/tot_charge") or 0.0)
    if charge:
        found["tot_charge"] = charge
    for name in ("noncolin", "spinorbit"):
        if (root.findtext(f"input/spin/{name}") or "").strip() == "true":
            found[{"spinorbit": "lspinorb"}.get(name, name)] = True
    isolated = (root.findtext("input/boundary_conditions/assume_isolated") or "none").strip()
    if isolated not in ("", "none"):
        found["assume_isolated"] = isolated
    vdw = (root.findtext("input/dft/vdW/vdw_corr") or "none").strip().lower()
    if vdw != "none":
        found["vdw_corr"] = vdw
    for name in ("dftU", "hybrid"):
        node = root.find(f"input/dft/{name}")
        if node is not None:
            found[name.lower()] = " ".join("".join(node.itertext()).split())
    return found


def _of_stdout(stdout: str, given: str, folders: Iterable[Path]) -> EspressoStated:
    def number(pattern: str, absent: float = math.nan) -> float:
        found = re.search(pattern, stdout, re.MULTILINE)
        return float(found[1].replace("D", "e")) if found else absent

    keys = namelist_keys(given)
    spread = re.search(r"number of k points=\s*\d+\s+(\S+) smearing, width \(Ry\)=\s*(\S+)", stdout)
    version = re.search(r"Program PWSCF v\.?\s*(\S+)", stdout)
    thr = keys.get("conv_thr", "").lower().replace("d", "e")
    named = re.findall(r"PseudoPot\. # *\d+ for +(\w+) +read from file:?\s+(\S+)", stdout)
    moments = _starting_moments(stdout)
    extra = physics_of({k: v for k, v in keys.items() if k in keys.get("&system", "").split()})
    cell, grid = _cell(stdout), None
    if automatic := re.search(r"K_POINTS\s*[({]?\s*automatic.*\n\s*(.*)", given, re.IGNORECASE):
        names = ("nk1", "nk2", "nk3", "k1", "k2", "k3")
        grid = _mesh(dict(zip(names, automatic[1].split(), strict=False)), cell)
    elif listed := _listed(stdout):
        grid = _mesh_of_points(np.array(listed), _axes(stdout), cell)
    return EspressoStated(
        version=version[1] if version else "",
        ecutwfc=number(r"kinetic-energy cutoff\s*=\s*(\S+)\s*Ry"),
        ecutrho=number(r"charge density cutoff\s*=\s*(\S+)\s*Ry"),
        smearing=_smearing(spread[1]) if spread else "",
        degauss=float(spread[2]) if spread else 0.0,
        conv_thr=float(thr) if thr else number(r"convergence threshold\s*=\s*(\S+)", 1e-6),
        grid=grid,
        points="; ".join(" ".join(map(str, row)) for row in _listed(stdout)),
        n_bands=int(number(r"number of Kohn-Sham states\s*=\s*(\d+)", 0)),
        n_electrons=number(r"number of electrons\s*=\s*([\d.]+)", 0.0),
        spin="Starting magnetic structure" in stdout,
        input_dft=_enforced(stdout, given),
        species=_species(
            {_element(e): (Path(name).name, moments.get(e, 0.0)) for e, name in named},
            _md5(stdout),
            [str(Path(name).parent) for _, name in named],
            folders,
        ),
        extra=extra if spread else {**extra, "occupations": keys.get("occupations", "fixed")},
    )


def namelist_keys(text: str) -> dict[str, str]:
    """Keywords of an input -> values as text; ``&system`` -> the names that stand in it."""
    found: dict[str, str] = {}
    for name, body in re.findall(r"^\s*&(\w+)(.*?)^\s*/", text, re.MULTILINE | re.DOTALL):
        plain = re.sub(r"!.*", "", body)
        pairs = re.findall(r"([\w()]+)\s*=\s*('[^']*'|\"[^\"]*\"|[^\s,]+)", plain)
        values = {key.lower(): value.strip("'\"") for key, value in pairs}
        found |= {**values, f"&{name.lower()}": " ".join(values)}
    return found


def _enforced(stdout: str, given: str) -> str:
    """The functional, where it is not that of the pseudopotentials."""
    stated = namelist_keys(given).get("input_dft", "")
    printed = re.search(r"Exchange-correlation\s*=\s*(.+?)\s*(?:\(|$)", stdout, re.MULTILINE)
    enforced = "XC functional enforced from input" in stdout
    return stated or (printed[1] if enforced and printed else "")


def _element(name: str) -> str:
    """``Fe1``, ``fe_up`` -> ``Fe``."""
    return re.sub(r"[\d_-].*", "", name).capitalize()


def _smearing(text: str) -> str:
    word = text.strip().lower()
    return next((name for name, words in SMEARINGS.items() if word in words), word)


def _numbers(text: str | None) -> list[float]:
    return [float(word) for word in (text or "").split()]


def _cell(stdout: str) -> FloatArray:
    """(3, 3) Å as the head of a standard output prints it."""
    found = re.search(r"celldm\(1\)=\s*(\S+)", stdout)
    return _axes(stdout) * (float(found[1]) if found else math.nan) * BOHR


def _axes(stdout: str) -> FloatArray:
    """(3, 3) in units of alat."""
    rows = re.findall(r"a\(\d\) = \(\s*(\S+)\s+(\S+)\s+(\S+)\s*\)", stdout)[:3]
    return np.array([[float(x) for x in row] for row in rows])


def _mesh(values: Mapping[str, str], cell: FloatArray) -> Grid | None:
    a, b, c = (int(values[name]) for name in ("nk1", "nk2", "nk3"))
    shifts = {int(values[name]) for name in ("k1", "k2", "k3")}
    if len(shifts) > 1 or cell.shape != (3, 3):
        return None
    return Grid(cell, (a, b, c), shifts == {1})


def _listed(stdout: str) -> list[list[float]]:
    """(K, 4) k-points in 2π/alat and their weights, where they are printed."""
    pattern = r"k\(\s*\d+\) = \(\s*(\S+)\s+(\S+)\s+(\S+?)\s*\), wk =\s*(\S+)"
    return [[float(x) for x in row] for row in re.findall(pattern, stdout)]


def _mesh_of_points(points: FloatArray, axes: FloatArray, cell: FloatArray) -> Grid | None:
    """The regular mesh of which `points` are what symmetry has left."""
    if cell.shape != (3, 3) or np.isnan(cell).any():
        return None
    crystal = points[:, :3] @ axes.T
    kinds = [_divisions(column) for column in crystal.T]
    if any(kind is None for kind in kinds):
        return None
    divisions = [kind[0] for kind in kinds if kind]
    shifts = {kind[1] for kind in kinds if kind}
    shares = points[:, 3] * np.prod(divisions)
    if len(shifts) > 1 or np.abs(shares - np.round(shares)).max() > 1e-3 * np.prod(divisions):
        return None
    return Grid(cell, (divisions[0], divisions[1], divisions[2]), shifts == {True})


def _divisions(values: FloatArray) -> tuple[int, bool] | None:
    """The smallest number of steps, shifted or not, that hits all of `values`."""
    for n in range(1, 61):
        for shifted in (False, True):
            steps = values * n - 0.5 * shifted
            if np.abs(steps - np.round(steps)).max() < 1e-4 * n:
                return n, shifted
    return None


def _starting_moments(stdout: str) -> dict[str, float]:
    found = re.search(r"Starting magnetic structure\s*\n.*\n((?:\s+\w+\s+-?[\d.]+\s*\n)+)", stdout)
    rows = re.findall(r"(\w+)\s+(-?[\d.]+)", found[1]) if found else []
    return {_element(name): float(value) for name, value in rows}


def _md5(stdout: str) -> dict[str, str]:
    """Element -> MD5 of its pseudopotential, as printed."""
    found = re.findall(
        r"PseudoPot\. # *\d+ for +(\w+) +read from file:?\s+\S+\s+MD5 check sum:\s*(\w+)", stdout
    )
    return {_element(name): md5 for name, md5 in found}


def _species(
    pseudos: Mapping[str, tuple[str, float]],
    md5: Mapping[str, str],
    named: Iterable[str],
    folders: Iterable[Path],
) -> dict[str, dict[str, Any]]:
    """Element -> pseudopotential by content, where its file is found, and starting moment."""
    below = [*folders]
    places = [*(folder / name for folder in below for name in named if name), *below, SHIPPED]
    found = {}
    for element, (name, moment) in pseudos.items():
        files = (place / name for place in places)
        contents = (file.read_bytes() for file in files if file.is_file())
        wanted = md5.get(element)
        content = next((c for c in contents if wanted in (None, hashlib.md5(c).hexdigest())), None)
        pseudo: Any = {"file": name, "md5": wanted or ""}
        if content is not None:
            pseudo = hashlib.sha256(content).hexdigest()
        found[element] = {"pseudo": pseudo, "moment": moment}
    return found
