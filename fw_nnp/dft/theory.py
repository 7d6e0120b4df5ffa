"""From the spec of a theory to its fingerprint: pseudopotentials enter by content, not by path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from fw_nnp.core.errors import LabelError, SpecError
from fw_nnp.core.records import LevelOfTheory
from fw_nnp.core.specs import EspressoSpec

SHIPPED = Path(__file__).parent / "pseudo"


def theory_of(spec: EspressoSpec, *, base: Path) -> LevelOfTheory:
    """Level of theory of pw.x: all settings that change the answer.

    Parameters
    ----------
    base
        Folder of the campaign file: a relative `pseudo_dir` starts there.

    Raises
    ------
    SpecError
        A pseudopotential is missing.
    """
    settings = spec.model_dump(mode="json", exclude={"code", "pseudo_dir", "pseudopotentials"})
    settings["pseudopotentials"] = {
        element: hashlib.sha256(path.read_bytes()).hexdigest()
        for element, path in sorted(pseudopotential_files(spec, base=base).items())
    }
    return LevelOfTheory(code=spec.code, settings=settings)


def pseudopotential_files(spec: EspressoSpec, *, base: Path) -> dict[str, Path]:
    """Element -> existing UPF file."""
    folder = (base / spec.pseudo_dir).resolve() if spec.pseudo_dir else SHIPPED
    files = {element: folder / name for element, name in spec.pseudopotentials.items()}
    for element, path in files.items():
        if not path.is_file():
            there = sorted(p.name for p in folder.glob("*") if p.suffix.lower() == ".upf")
            raise SpecError(
                f"no pseudopotential '{path.name}' of {element} in {folder}",
                place="relabel.theory.pseudopotentials",
                remedy=f"this folder holds: {', '.join(there) or 'no UPF file'}; correct the name "
                "or pseudo_dir (SSSP: materialscloud.org/sssp, PseudoDojo: pseudo-dojo.org)",
            )
    return files


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


def valence(path: Path) -> float:
    """Number of valence electrons, ``z_valence`` of a UPF file (version 1 or 2)."""
    text = path.read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        if "z_valence" in line:
            return _number(line.split("z_valence", 1)[1])
        if "Z valence" in line:
            return _number(line)
    raise SpecError(
        "no number of valence electrons in it", place=str(path), remedy="is it a UPF file?"
    )


def _number(text: str) -> float:
    return float(text.strip(" =").strip('"').split()[0].strip('"/>').replace("D", "e"))
