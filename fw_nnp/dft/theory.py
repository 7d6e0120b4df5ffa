"""From the spec of a theory to its fingerprint: pseudopotentials enter by content, not by path."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fw_nnp.core.errors import LabelError, SpecError
from fw_nnp.core.records import LevelOfTheory
from fw_nnp.core.specs import EspressoSpec, VaspSpec

from .vasp_input import vasp_theory

SHIPPED = Path(__file__).parent / "pseudo"


@dataclass(frozen=True, kw_only=True)
class Pseudopotential:
    """A UPF file: where it is, its content as sha256, its number of valence electrons."""

    path: Path
    sha256: str
    valence: float


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
    without = {"code", "pseudo_dir", "pseudopotentials"}
    if not spec.version:
        without.add("version")
    settings = spec.model_dump(mode="json", exclude=without)
    found = pseudopotentials(spec, base=base)
    settings["pseudopotentials"] = {element: upf.sha256 for element, upf in found.items()}
    return LevelOfTheory(code=spec.code, settings=settings)


def pseudopotentials(spec: EspressoSpec, *, base: Path) -> dict[str, Pseudopotential]:
    """Element -> pseudopotential, read from disk; see `theory_of`."""
    folder = (base / spec.pseudo_dir).resolve() if spec.pseudo_dir else SHIPPED
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
    return Pseudopotential(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        valence=_valence(content.decode(errors="replace"), path),
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
