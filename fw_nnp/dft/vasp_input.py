"""The four inputs of VASP, and the level of theory that they state."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fw_nnp.core.errors import LabelError, SpecError
from fw_nnp.core.records import Configuration, IntArray, LevelOfTheory
from fw_nnp.core.registry import did_you_mean
from fw_nnp.core.specs import VaspSpec

# A single point, whatever the preset relaxes; EDIFF in eV per cell, the same for every size.
STATIC: Mapping[str, Any] = {
    "NSW": 0,
    "IBRION": -1,
    "ISIF": 2,
    "EDIFF": 1e-6,
    "NELM": 100,
    "LWAVE": False,
    "LCHARG": False,
    "KGAMMA": True,
    "LDAU": False,
}
# Written out by relaxations and band structures, or only meant for structures with DFT+U.
LEFT_OUT = {"EDIFF_PER_ATOM", "LORBIT", "LAECHG", "LVTOT", "LELF", "NEDOS", "EDIFFG", "POTIM"}
LEFT_OUT |= {"LDAUJ", "LDAUL", "LDAUTYPE", "LDAUU", "LDAUPRINT", "MAGMOM"}
# What a label is built on: to change it is to ask for something else than a single point.
RESERVED = {"NSW", "IBRION", "ISIF", "KSPACING", "KGAMMA", "MAGMOM", "SYSTEM", "ICHARG", "IMAGES"}
RESERVED |= {"LDAU", "LDAUTYPE", "LDAUL", "LDAUU", "LDAUJ"}  # per element of each configuration


@dataclass(frozen=True, kw_only=True)
class Potcar:
    """A POTCAR of one element: its text, title and content hash."""

    symbol: str
    title: str
    sha256: str
    text: str


def vasp_theory(spec: VaspSpec, *, base: Path) -> LevelOfTheory:
    """Level of theory of VASP: every INCAR tag, the k-spacing and the POTCARs by content.

    Raises
    ------
    SpecError
        An unknown INCAR tag, or a POTCAR that is missing.
    """
    potcars = find_potcars(spec, base=base)
    incar, magmom = incar_of(spec)
    settings: dict[str, Any] = {
        "incar": incar,
        "k_spacing": spec.k_spacing,
        "potcars": {e: {"title": p.title, "sha256": p.sha256} for e, p in potcars.items()},
    }
    if incar.get("ISPIN", 1) == 2:
        settings["magmom"] = magmom
    if spec.hubbard:
        settings["hubbard"] = dict(sorted(spec.hubbard.items()))
    if spec.version:
        settings["version"] = spec.version
    return LevelOfTheory(code=spec.code, settings=settings)


def incar_of(spec: VaspSpec) -> tuple[dict[str, Any], dict[str, float]]:
    """INCAR tags of every configuration, and the starting moment of each element."""
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    given = {key.upper(): value for key, value in spec.incar.items()}
    _check_tags(given)
    n = len(spec.elements)
    sites = [[i / n, 0.0, 0.0] for i in range(n)]
    stand_in = Structure(Lattice.orthorhombic(4.0 * n, 4.0, 4.0), spec.elements, sites)
    preset = _preset(spec.preset, stand_in)
    tags = {str(key): value for key, value in preset.incar.items() if key not in LEFT_OUT}
    tags |= {**STATIC, **given}
    defaults = preset.CONFIG["INCAR"].get("MAGMOM", {})
    moments = {e: float(spec.magmom.get(e, defaults.get(e, 0.6))) for e in spec.elements}
    plain: dict[str, Any] = json.loads(json.dumps(tags, default=str))
    return dict(sorted(plain.items())), moments


def _preset(name: str, structure: Any) -> Any:
    from pymatgen.io.vasp import sets

    if name.startswith("matpes"):
        return sets.MatPESStaticSet(
            structure, xc_functional="R2SCAN" if name == "matpes_r2scan" else "PBE"
        )
    return {"mp": sets.MPRelaxSet, "mp_metal": sets.MPMetalRelaxSet}[name](structure)


def _check_tags(given: Mapping[str, Any]) -> None:
    from pymatgen.io.vasp import inputs

    known = json.loads((Path(inputs.__file__).parent / "incar_parameters.json").read_text())
    for tag in given:
        place = f"relabel.theory.incar.{tag}"
        if tag in RESERVED:
            raise SpecError(
                f"'{tag}' is set by fw_nnp",
                place=place,
                remedy="use the keys of the theory itself (k_spacing, magmom, hubbard); a label is "
                "a single point",
            )
        if tag not in known:
            raise SpecError(f"no INCAR tag '{tag}'{did_you_mean(tag, list(known))}", place=place)


# ---------------------------------------------------------------- POTCARs


def find_potcars(spec: VaspSpec, *, base: Path) -> dict[str, Potcar]:
    """Element -> POTCAR, read from the user's own folder.

    Raises
    ------
    SpecError
        The folder is not named, or lacks an element.
    """
    from pymatgen.io.vasp.inputs import PotcarSingle

    symbols, functional = _symbols(spec)
    known = PotcarSingle.functional_dir
    if functional not in known:
        raise SpecError(
            f"no set of POTCARs is called '{functional}'{did_you_mean(functional, list(known))}",
            place="relabel.theory.potcar_functional",
        )
    folder = _potcar_folder(spec, base) / known[functional]
    return {element: _read_potcar(folder, symbols[element], element) for element in spec.elements}


def _symbols(spec: VaspSpec) -> tuple[dict[str, str], str]:
    """Element -> POTCAR symbol and the functional, of the preset with the spec's changes."""
    from pymatgen.io.vasp import sets

    presets: dict[str, Any] = {
        "mp": sets.MPRelaxSet,
        "mp_metal": sets.MPMetalRelaxSet,
        "matpes": sets.MatPESStaticSet,
        "matpes_r2scan": sets.MatPESStaticSet,
    }
    config = presets[spec.preset].CONFIG
    functional = spec.potcar_functional or config.get("POTCAR_FUNCTIONAL") or "PBE"
    symbols: dict[str, str] = {}
    for element in spec.elements:
        default = config["POTCAR"].get(element, element)
        symbol = default["symbol"] if isinstance(default, dict) else default
        symbols[element] = spec.potcars.get(element) or str(symbol)
    return symbols, functional


def _potcar_folder(spec: VaspSpec, base: Path) -> Path:
    from pymatgen.core import SETTINGS

    if spec.potcar_dir:
        return (base / spec.potcar_dir).resolve()
    named = os.environ.get("PMG_VASP_PSP_DIR") or SETTINGS.get("PMG_VASP_PSP_DIR")
    if not named:
        raise SpecError(
            "no folder of POTCARs: PMG_VASP_PSP_DIR is not set",
            place="relabel.theory",
            remedy="POTCARs come with VASP's licence, fw_nnp ships none: say 'pmg config -p "
            "<your potpaw folder> <folder>', then 'export PMG_VASP_PSP_DIR=<folder>' where you "
            "submit and in the environment of the workers, or name potcar_dir",
        )
    return Path(str(named)).expanduser()


def _read_potcar(folder: Path, symbol: str, element: str) -> Potcar:
    names = (f"POTCAR.{symbol}.gz", f"POTCAR.{symbol}", f"{symbol}/POTCAR", f"{symbol}/POTCAR.gz")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise SpecError(
            f"no POTCAR '{symbol}' of {element} in {folder}",
            place="relabel.theory.potcars",
            remedy="correct PMG_VASP_PSP_DIR, potcar_functional or potcars "
            "('pmg config -p' lays the folder out)",
        )
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode(errors="replace")
    lines = text.splitlines()
    title = lines[0].strip() if lines else ""
    if f"{element}" not in title or "End of Dataset" not in text:
        raise SpecError(
            f"this is no POTCAR of {element}: it begins with '{title[:60]}'", place=str(path)
        )
    return Potcar(
        symbol=symbol, title=title, sha256=hashlib.sha256(text.encode()).hexdigest(), text=text
    )


# ---------------------------------------------------------------- files


def order_of(configuration: Configuration) -> IntArray:
    """(N,) indices that put atoms of one element together, elements in alphabetical order."""
    order: IntArray = np.argsort(np.array(configuration.symbols), kind="stable")
    return order


def write_inputs(
    configuration: Configuration,
    directory: Path,
    *,
    incar: Mapping[str, Any],
    k_spacing: float,
    magmom: Mapping[str, float],
    hubbard: Mapping[str, float],
    potcars: Mapping[str, Potcar],
) -> None:
    """Write INCAR, POSCAR and POTCAR; the k-spacing is in the INCAR.

    Raises
    ------
    LabelError
        The configuration holds an element that the theory has no POTCAR for.
    """
    missing = sorted(set(configuration.elements) - set(potcars))
    if missing:
        raise LabelError(
            f"no POTCAR for {', '.join(missing)}",
            place="relabel.theory.elements",
            remedy="name every element of the configurations",
            error_class="input",
        )
    order = order_of(configuration)
    symbols = [configuration.symbols[i] for i in order]
    tags = {**incar, "KSPACING": k_spacing}
    if incar.get("ISPIN", 1) == 2:
        tags["MAGMOM"] = [magmom[symbol] for symbol in symbols]
    tags |= hubbard_tags(hubbard, configuration.elements, incar)
    (directory / "INCAR").write_text(_incar_text(tags))
    (directory / "POSCAR").write_text(_poscar_text(configuration, order, symbols))
    (directory / "POTCAR").write_text("".join(potcars[e].text for e in configuration.elements))


def hubbard_tags(
    hubbard: Mapping[str, float], elements: Sequence[str], incar: Mapping[str, Any]
) -> dict[str, Any]:
    """DFT+U of Dudarev for the elements of one configuration, in the order of its POSCAR.

    Parameters
    ----------
    hubbard
        Orbitals of an element (``Fe-3d``) -> U, eV.
    """
    of = {orbital.split("-")[0]: (orbital[-1], u) for orbital, u in hubbard.items()}
    if not set(of) & set(elements):
        return {}
    shells = [("spdf".index(of[e][0]), of[e][1]) if e in of else (-1, 0.0) for e in elements]
    highest = max(shell for shell, _ in shells)
    return {
        "LDAU": True,
        "LDAUTYPE": 2,
        "LDAUL": [shell for shell, _ in shells],
        "LDAUU": [u for _, u in shells],
        "LDAUJ": [0.0] * len(shells),
        "LMAXMIX": max(2 * highest, int(incar.get("LMAXMIX", 2))),
    }


def _incar_text(tags: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_tag_text(value)}\n" for key, value in tags.items())


def _tag_text(value: Any) -> str:
    if isinstance(value, bool):
        return ".TRUE." if value else ".FALSE."
    if isinstance(value, (list, tuple)):
        return " ".join(map(_tag_text, value))
    return str(value)


def _poscar_text(configuration: Configuration, order: IntArray, symbols: Sequence[str]) -> str:
    elements = configuration.elements
    lines = [configuration.id, "1.0", *map(_row, configuration.cell)]
    lines += [" ".join(elements), " ".join(str(symbols.count(e)) for e in elements), "Cartesian"]
    lines += [_row(configuration.positions[i]) for i in order]
    return "\n".join(lines) + "\n"


def _row(values: Any) -> str:
    return " ".join(f"{value:.12f}" for value in values)
