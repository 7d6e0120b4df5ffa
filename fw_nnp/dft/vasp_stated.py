"""What the outputs of a VASP run say of its level of theory, and whether a known one is meant."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from fw_nnp.core.errors import OutputUnreadable
from fw_nnp.core.records import FloatArray, LevelOfTheory

from .stated import Grid, Range, same
from .vasp_actions import NUMERICAL, RESOURCE
from .vasp_input import LEFT_OUT

# How atoms move, what is printed, where the k-points are: no part of the answer for one geometry.
NO_PHYSICS = {*NUMERICAL, *RESOURCE, *LEFT_OUT, "SYSTEM", "NSW", "IBRION", "ISIF", "NFREE"}
NO_PHYSICS |= {"KSPACING", "KGAMMA", "MDALGO", "SMASS", "TEBEG", "TEEND", "NBLOCK", "KBLOCK"}
NO_PHYSICS |= {"PSTRESS", "PMASS", "LANGEVIN_GAMMA", "LANGEVIN_GAMMA_L", "ANDERSEN_PROB", "NWRITE"}
NO_PHYSICS |= {"LVHAR", "EMIN", "EMAX", "LOPTICS", "LMAXMIX", "LMIXTAU", "LASYNC", "IWAVPR", "ROPT"}
NO_PHYSICS |= {"RANDOM_SEED", "APACO", "NPACO", "LHYPERFINE", "ICHARG", "RWIGS", "ENMAX"}
# VASP's own values of what does belong to it.
DEFAULTS: Mapping[str, Any] = {
    "PREC": "normal", "ISMEAR": 1, "SIGMA": 0.2, "ISPIN": 1, "LREAL": False, "GGA": "--",
    "METAGGA": "--", "LASPH": False, "IVDW": 0, "LUSE_VDW": False, "LDAU": False, "LHFCALC": False,
    "ADDGRID": False, "LNONCOLLINEAR": False, "LSORBIT": False, "NUPDOWN": -1, "IDIPOL": 0,
    "LDIPOL": False, "EFIELD": 0.0,
}  # fmt: skip
LISTED = ("PREC", "ENCUT", "ISMEAR", "SIGMA", "ISPIN", "LREAL", "GGA", "METAGGA", "LASPH", "IVDW",
          "LUSE_VDW", "LDAU", "LHFCALC", "ADDGRID", "LNONCOLLINEAR", "LSORBIT", "NUPDOWN",
          "EDIFF")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VaspStated:
    """What one output says.

    Attributes
    ----------
    incar
        Tags in capitals -> plain values.
    k_spacing
        0 where the k-points were given otherwise.
    points
        The k-points in words where they are no mesh around Γ.
    species
        Element -> ``{"title"}`` of the POTCAR, ``"sha256"`` where the file is there, ``"moment"``.
    """

    version: str
    incar: Mapping[str, Any]
    k_spacing: float
    grid: Grid | None
    points: str
    species: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def ranges(self) -> dict[str, Range]:
        if self.k_spacing:
            return {"k_spacing": (self.k_spacing, self.k_spacing * (1.0 + 1e-9))}
        return {} if self.grid is None else {"k_spacing": self.grid.spacings}

    @cached_property
    def physics(self) -> dict[str, Any]:
        """The tags that change the answer."""
        return _physics(self.incar, self.species)

    def fits(self, theory: LevelOfTheory) -> bool:
        """Whether `theory` asks for the same; a tighter EDIFF changes no answer."""
        s: Mapping[str, Any] = theory.settings
        if theory.code != "vasp" or "incar" not in s or "changed" in s:
            return False
        if "k_points" in s or not self.ranges:
            return self.theory({}, self.species).id == theory.id
        asked = {key.upper(): value for key, value in s["incar"].items()}
        on_grid = self.grid is not None and self.grid.made_by(s["k_spacing"])
        return (
            (same(self.k_spacing, s["k_spacing"]) if self.k_spacing else on_grid)
            and _alike(self.physics, _physics(asked, s["potcars"]))
            and float(self.incar.get("EDIFF", 1e-4)) <= 1.001 * float(asked.get("EDIFF", 1e-4))
            and all(_same_potcar(s["potcars"].get(e, {}), of) for e, of in self.species.items())
            and all(_same_moment(s.get("magmom", {}).get(e), of) for e, of in self.species.items())
            and self.version.startswith(s.get("version", ""))
        )

    def theory(self, rules: Mapping[str, float], species: Mapping[str, Any]) -> LevelOfTheory:
        """In the form of a campaign's."""
        asked = {**self.physics, "EDIFF": self.incar.get("EDIFF", 1e-4)}
        settings: dict[str, Any] = {
            "incar": {
                key: _rounded(value)
                for key, value in sorted(asked.items())
                if key not in DEFAULTS or not _same_value(key, value, DEFAULTS[key])
            },
            "potcars": {
                e: {k: v for k, v in of.items() if k != "moment" and v}
                for e, of in sorted(species.items())
            },
            **rules,
        }
        moments = {e: of["moment"] for e, of in species.items() if of["moment"] is not None}
        if moments:
            settings["magmom"] = moments
        if not self.ranges:
            settings["k_points"] = self.points
        return LevelOfTheory(code="vasp", settings=settings)


def _rounded(value: Any) -> Any:
    """Numbers as every output has them: 0.11151019 of 0.11151018873740826, 520.0 of 520."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return round(float(value), 8) if is_number else value


def _physics(incar: Mapping[str, Any], potcars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What changes the answer, VASP's defaults included; PBE on PBE's POTCARs is the default."""
    found = {**DEFAULTS, **{k: plain(v) for k, v in incar.items() if k not in NO_PHYSICS}}
    if found["GGA"] == "pe" and all(of["title"].startswith("PAW_PBE") for of in potcars.values()):
        found["GGA"] = DEFAULTS["GGA"]
    return found


def _alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        _same_value(key, first[key], second[key]) for key in first
    )


def _same_value(tag: str, first: Any, second: Any) -> bool:
    if tag == "PREC":
        return str(first)[:3] == str(second)[:3]
    if tag == "LREAL":  # outputs print T for Auto
        return _off(first) == _off(second)
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (first, second))
    return same(float(first), float(second)) if numbers else bool(first == second)


def _off(value: Any) -> bool:
    return value is False


def _same_potcar(known: Mapping[str, Any], stated: Mapping[str, Any]) -> bool:
    """By content where the POTCAR is there, else by its title."""
    if stated.get("sha256") and known.get("sha256"):
        return bool(stated["sha256"] == known["sha256"])
    return bool(known.get("title") == stated["title"])


def _same_moment(known: Any, stated: Mapping[str, Any]) -> bool:
    moment = stated["moment"]
    if moment is None or known is None:
        return True
    return isinstance(moment, float) and same(known, moment)


def plain(value: Any) -> Any:
    """A tag's value as number, truth or lower-case text, from whatever wrote it."""
    if not isinstance(value, str):
        return value
    words = value.split()
    if len(words) > 1:
        return [plain(word) for word in words]
    text = value.strip().lower()
    if text.strip(".") in ("t", "true", "f", "false"):
        return text.strip(".").startswith("t")
    for kind in (int, float):
        try:
            return kind(text.replace("d", "e") if kind is float else text)
        except ValueError:
            continue
    return text


# ---------------------------------------------------------------- from the files


def stated_by_vasprun(head: str, path: Path) -> VaspStated:
    """What a vasprun.xml says before its first calculation.

    Raises
    ------
    OutputUnreadable
        It ends before.
    """
    try:
        root = ElementTree.fromstring((head + "</modeling>").encode())
    except ElementTree.ParseError as error:
        raise OutputUnreadable(f"the XML is cut off: {error}", place=str(path)) from None
    incar = {
        str(node.get("name")).upper(): plain(node.text or "") for node in root.iterfind("incar//i")
    }
    incar.setdefault("ENCUT", plain(root.findtext("parameters//i[@name='ENMAX']", "0")))
    symbols = [(row.findtext("c") or "").strip() for row in root.iterfind(_ATOMS)]
    titles = {
        (columns[1].text or "").strip(): " ".join((columns[4].text or "").split())
        for row in root.iterfind("atominfo/array[@name='atomtypes']/set/rc")
        if len(columns := row.findall("c")) > 4
    }
    moments: dict[str, Any] = {}
    if plain(incar.get("ISPIN", 1)) == 2:
        asked = root.find("incar/*[@name='MAGMOM']")
        moments = _moments(symbols, "" if asked is None else _expanded(asked.text or ""))
    rows = root.iterfind("structure[@name='initialpos']/crystal/varray[@name='basis']/v")
    cell = np.array([[float(x) for x in (row.text or "").split()] for row in rows])
    spacing = incar.get("KSPACING", 0.0)
    grid, points = _k_points(root, cell)
    return VaspStated(
        version=root.findtext("generator/i[@name='version']", "").strip(),
        incar=incar,
        k_spacing=float(spacing) if plain(incar.get("KGAMMA", True)) else 0.0,
        grid=grid,
        points=points,
        species=_species(titles, moments, path),
    )


_ATOMS = "atominfo/array[@name='atoms']/set/rc"


def _k_points(root: ElementTree.Element, cell: FloatArray) -> tuple[Grid | None, str]:
    generation = root.find("kpoints/generation")
    if generation is None:
        rows = root.iterfind("kpoints/varray[@name='kpointlist']/v")
        return None, "; ".join(" ".join((row.text or "").split()) for row in rows)
    words = (generation.findtext("v[@name='divisions']") or "").split()
    shift = [float(x) for x in (generation.findtext("v[@name='usershift']") or "").split()]
    scheme = str(generation.get("param", ""))
    text = " ".join([scheme, *words, *map(str, shift)])
    centred = scheme.lower().startswith("g") or all(int(word) % 2 for word in words)
    if len(words) != 3 or any(shift) or not centred or cell.shape != (3, 3):
        return None, text
    return Grid(cell, (int(words[0]), int(words[1]), int(words[2])), False), text


def _moments(symbols: list[str], text: str) -> dict[str, Any]:
    """The starting moment of each element, or all of its moments where its atoms differ."""
    values = [float(word) for word in text.split()] or [1.0] * len(symbols)
    found: dict[str, list[float]] = {}
    for symbol, value in zip(symbols, values, strict=False):
        found.setdefault(symbol, []).append(value)
    return {s: moments[0] if len({*moments}) == 1 else moments for s, moments in found.items()}


def stated_by_outcar(head: str, path: Path) -> VaspStated:
    """What an OUTCAR says before its first electronic step."""
    incar: dict[str, Any] = {}
    for name in LISTED:
        found = re.search(rf"\b{name}\s*=\s*([^\s;]+)", head)
        if found:
            incar[name] = plain(found[1])
    echo = re.search(r"^ INCAR:\n((?:.*=.*\n)+)", head, re.MULTILINE)
    for line in echo[1].splitlines() if echo else []:
        name, _, value = line.partition("=")
        incar[name.strip().upper()] = plain(value)
    titles = dict.fromkeys(" ".join(t.split()) for t in re.findall(r"TITEL\s*=\s*(.+)", head))
    by_element = {title.split()[1].split("_")[0]: title for title in titles if " " in title}
    mesh = re.search(r"generate k-points for:\s+(\d+)\s+(\d+)\s+(\d+)", head)
    cell = _outcar_cell(head)
    grid = None
    if mesh and len(cell) == 3:
        grid = Grid(cell, (int(mesh[1]), int(mesh[2]), int(mesh[3])), False)
    spacing = incar.get("KSPACING", 0.0)
    irreducible = re.search(r"Found\s+(\d+)\s+irreducible k-points", head)
    moments: dict[str, Any] = {}
    counts = re.search(r"ions per type =\s+([\d ]+)", head)
    if incar.get("ISPIN") == 2 and echo and counts:
        symbols = [
            element
            for element, n in zip(by_element, map(int, counts[1].split()), strict=False)
            for _ in range(n)
        ]
        asked = re.search(r"^\s*MAGMOM\s*=\s*(.+)$", echo[1], re.MULTILINE)
        moments = _moments(symbols, _expanded(asked[1]) if asked else "")
    words = head.split(maxsplit=1)
    return VaspStated(
        version=words[0].removeprefix("vasp.") if words else "",
        incar=incar,
        k_spacing=float(spacing) if incar.get("KGAMMA", True) else 0.0,
        grid=grid,
        points=f"{irreducible[1]} irreducible" if irreducible else "",
        species=_species(by_element, moments, path),
    )


def _expanded(text: str) -> str:
    """``2*0.6 1`` -> ``0.6 0.6 1``."""
    return re.sub(r"(\d+)\*(\S+)", lambda found: " ".join([found[2]] * int(found[1])), text)


def _outcar_cell(head: str) -> FloatArray:
    _, _, rest = head.partition("direct lattice vectors")
    rows = [line.split()[:3] for line in rest.splitlines()[1:4]]
    try:
        return np.array([[float(x) for x in row] for row in rows])
    except ValueError:
        return np.zeros((0, 3))


def _species(
    titles: Mapping[str, str], moments: Mapping[str, Any], path: Path
) -> dict[str, dict[str, Any]]:
    """Element -> POTCAR by title, by content too where one lies beside the output."""
    contents: dict[str, str] = {}
    beside = path.parent / "POTCAR"
    if beside.is_file():
        for part in beside.read_text(errors="replace").split("End of Dataset\n")[:-1]:
            text = part + "End of Dataset\n"
            contents[" ".join(text.split("\n", 1)[0].split())] = hashlib.sha256(
                text.encode()
            ).hexdigest()
    return {
        element: {
            "title": title,
            "sha256": contents.get(title, ""),
            "moment": moments.get(element),
        }
        for element, title in titles.items()
    }
