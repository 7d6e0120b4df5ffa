"""From the spec of a theory to its fingerprint: pseudopotentials enter by content, not by path."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import LabelError, SpecError
from fw_nnp.core.records import LevelOfTheory
from fw_nnp.core.specs import EspressoSpec, VaspSpec
from fw_nnp.core.units import RYDBERG

from .vasp_input import vasp_theory

SHIPPED = Path(__file__).parent / "pseudo"


@dataclass(frozen=True, kw_only=True)
class Pseudopotential:
    """A UPF file: where it is, its content as sha256, its number of valence electrons, its kind."""

    path: Path
    sha256: str
    valence: float
    paw: bool


def theory_of(spec: EspressoSpec | VaspSpec, *, base: Path) -> LevelOfTheory:
    """Level of theory of pw.x or VASP: all settings that change the answer.

    Parameters
    ----------
    base
        Folder of the campaign file: a relative `pseudo_dir` starts there.

    Raises
    ------
    SpecError
        A pseudopotential is missing.
    """
    if isinstance(spec, VaspSpec):
        return vasp_theory(spec, base=base)
    spec = resolved(spec, base=base)
    without = {"code", "preset", "elements", "pseudo_dir", "pseudopotentials"}
    # Absent where they say nothing, as before they were there.
    without |= {key for key in ("version", "hubbard", "vdw_corr") if not getattr(spec, key)}
    if not spec.hubbard:
        without.add("hubbard_projectors")
    settings = spec.model_dump(mode="json", exclude=without)
    found = pseudopotentials(spec, base=base)
    settings["pseudopotentials"] = {element: upf.sha256 for element, upf in found.items()}
    return LevelOfTheory(code=spec.code, settings=settings)


def resolved(spec: EspressoSpec, *, base: Path) -> EspressoSpec:
    """The spec with files and cutoffs of the library's table filled in where it is silent.

    Raises
    ------
    SpecError
        There is no table where one is needed, it lacks an element, or a file is another one.
    """
    asked = [e for e in spec.elements if e not in spec.pseudopotentials]
    if not asked and spec.ecutwfc is not None:
        return spec
    folder = _folder(spec, base)
    rows = _table(folder, spec.elements)
    files = {element: str(rows[element]["filename"]) for element in asked}
    for element, name in files.items():
        _require_listed(folder / name, rows[element])
    changes: dict[str, Any] = {"pseudopotentials": {**files, **spec.pseudopotentials}}
    waves, density = (
        max(float(row[column]) for row in rows.values()) * RYDBERG
        for column in ("cutoff_wfc", "cutoff_rho")
    )
    changes["ecutwfc"] = spec.ecutwfc or waves
    changes["ecutrho"] = spec.ecutrho or max(density, 4.0 * changes["ecutwfc"])
    return spec.model_copy(update=changes)


def _table(folder: Path, elements: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Rows of the table of a library of pseudopotentials, as SSSP ships it."""
    found = [path for path in sorted(folder.glob("*.json")) if "cutoff_wfc" in path.read_text()]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise SpecError(
            f"one table of the library is needed in {folder}, found: {names}",
            place="relabel.theory.pseudo_dir",
            remedy="put SSSP's own SSSP_*.json beside its files (materialscloud.org/sssp), or "
            "state pseudopotentials and ecutwfc",
        )
    table = json.loads(found[0].read_text())
    missing = sorted(set(elements) - set(table))
    if missing:
        raise SpecError(
            f"{found[0].name} has no {', '.join(missing)}",
            place="relabel.theory.elements",
            remedy="name its file under pseudopotentials and state ecutwfc",
        )
    return {element: table[element] for element in elements}


def _require_listed(path: Path, row: Mapping[str, Any]) -> None:
    """Raise SpecError where the file is not the one that the table's cutoffs were tested for."""
    if path.is_file() and row.get("md5") not in (None, _md5(path)):
        raise SpecError(
            "this is not the file that the library's table lists: its md5 differs",
            place=str(path),
            remedy="download it again, or name it under pseudopotentials and state ecutwfc",
        )


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _folder(spec: EspressoSpec, base: Path) -> Path:
    return (base / spec.pseudo_dir).resolve() if spec.pseudo_dir else SHIPPED


def pseudopotentials(spec: EspressoSpec, *, base: Path) -> dict[str, Pseudopotential]:
    """Element -> pseudopotential of a resolved spec, read from disk; see `theory_of`."""
    folder = _folder(spec, base)
    return {
        element: _read(element, folder, name) for element, name in spec.pseudopotentials.items()
    }


def _read(element: str, folder: Path, name: str) -> Pseudopotential:
    path = folder / name
    if not path.is_file():
        there = sorted(p.name for p in folder.glob("*") if p.suffix.lower() == ".upf")
        raise SpecError(
            f"no pseudopotential '{name}' of {element} in {folder}",
            place="relabel.theory.pseudopotentials",
            remedy=f"this folder holds: {', '.join(there) or 'no UPF file'}; correct the name "
            "or pseudo_dir (SSSP: materialscloud.org/sssp, PseudoDojo: pseudo-dojo.org)",
        )
    content = path.read_bytes()
    text = content.decode(errors="replace")
    return Pseudopotential(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        valence=_valence(text, path),
        paw="<PP_PAW" in text,
    )


def require_elements(spec: EspressoSpec, elements: Iterable[str]) -> None:
    """Raise LabelError unless every one of `elements` has a pseudopotential."""
    missing = sorted(set(elements) - set(spec.pseudopotentials))
    if missing:
        raise LabelError(
            f"no pseudopotential for {', '.join(missing)}",
            place="relabel.theory.pseudopotentials",
            remedy="name a UPF file for each element of the configurations",
            error_class="input",
        )


def _valence(text: str, path: Path) -> float:
    """``z_valence`` of UPF version 2 or the line ``... Z valence`` of version 1."""
    found = re.search(r'z_valence\s*=\s*"\s*([^\s"]+)', text) or re.search(
        r"^\s*(\S+)\s+Z valence", text, re.MULTILINE
    )
    if found is None:
        raise SpecError(
            "no number of valence electrons in it", place=str(path), remedy="is it a UPF file?"
        )
    return float(found[1].replace("D", "e"))
