"""JSON of pymatgen objects: a list of ``ComputedStructureEntry``, one per line of the file.

`monty.serialization.loadfn` gives the objects back. Forces (eV/Å), stress (eV/Å³, positive in
tension), trajectory and phase are in ``data``. Atoms without a cell are a ``Molecule``.
Sites hold Cartesian positions as well as fractional ones; ours are read from the former.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fw_nnp.core.records import Configuration, LabelledConfiguration

from .description import ASE_UNITS, FileDescription
from .frame import FileFrame

READ_NAMES = {"energy": "energy", "forces": "forces", "stress": "stress"}
_ENTRY = {
    "@module": "pymatgen.entries.computed_entries",
    "@class": "ComputedStructureEntry",
}


def read(path: Path, names: Mapping[Any, str]) -> Iterator[FileFrame]:
    """Frames of entries, or of objects with ``structure``, ``energy``, ``forces``, ``stress``."""
    known = {**READ_NAMES, **names}
    for entry in json.loads(path.read_text(encoding="utf-8")):
        structure = entry["structure"]
        values = {**entry, **entry.get("data", {})}
        lattice = structure.get("lattice")
        pbc = lattice.get("pbc", [True] * 3) if lattice else [False] * 3
        yield FileFrame(
            species=[_only_species(site) for site in structure["sites"]],
            cell=lattice["matrix"] if lattice else np.zeros((3, 3)),
            positions=[site["xyz"] for site in structure["sites"]],
            pbc=(bool(pbc[0]), bool(pbc[1]), bool(pbc[2])),
            energy=values.get(known["energy"]),
            forces=values.get(known["forces"]),
            stress=values.get(known["stress"]),
            trajectory=str(values.get("trajectory", "")),
            phase=str(values.get("phase", "")),
        )


def _only_species(site: Mapping[str, Any]) -> str:
    if len(site["species"]) != 1 or site["species"][0]["occu"] != 1:
        raise ValueError(f"a site is shared by species: {site['species']}")
    return str(site["species"][0]["element"])


def embedded_description(path: Path) -> FileDescription | None:
    """The description of a file that `write` made."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    units = entries[0].get("data", {}).get("units") if entries else None
    return None if units is None else FileDescription.model_validate(units)


def write(path: Path, items: Iterable[LabelledConfiguration]) -> int:
    """One entry per item; returns their number."""
    return write_list(path, map(_entry, items))


def write_list(path: Path, entries: Iterable[Mapping[str, Any]]) -> int:
    """A JSON list, one entry per line."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for entry in entries:
            file.write(("[" if count == 0 else ",") + "\n" + json.dumps(entry))
            count += 1
        file.write("\n]\n" if count else "[]\n")
    return count


def _entry(item: LabelledConfiguration) -> dict[str, Any]:
    label = item.label
    data: dict[str, Any] = {
        "label": label.id,
        "trajectory": item.trajectory,
        "phase": item.phase,
        "units": ASE_UNITS.model_dump(mode="json"),
    }
    if label.forces is not None:
        data["forces"] = label.forces.tolist()
    if label.stress is not None:
        data["stress"] = label.stress.tolist()
    structure = structure_json(item.configuration)
    return {
        **_ENTRY,
        "structure": structure,
        "energy": label.energy,
        "correction": 0.0,
        "entry_id": label.id,
        "data": data,
    }


def structure_json(configuration: Configuration) -> dict[str, Any]:
    """A configuration as pymatgen writes a Structure, or a Molecule where there is no cell."""
    periodic = bool(configuration.cell.any())
    sites: list[dict[str, Any]] = [
        {"species": [{"element": symbol, "occu": 1}], "xyz": xyz, "label": symbol, "properties": {}}
        for symbol, xyz in zip(configuration.symbols, configuration.positions.tolist(), strict=True)
    ]
    if not periodic:
        return {
            "@module": "pymatgen.core.structure",
            "@class": "Molecule",
            "charge": 0,
            "sites": sites,
        }
    fractional = configuration.positions @ np.linalg.inv(configuration.cell)
    for site, abc in zip(sites, fractional.tolist(), strict=True):
        site["abc"] = abc
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": 0,
        "lattice": {"matrix": configuration.cell.tolist(), "pbc": list(configuration.pbc)},
        "sites": sites,
    }
