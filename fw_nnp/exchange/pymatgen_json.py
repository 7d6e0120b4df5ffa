"""JSON of pymatgen objects: a list of ``ComputedStructureEntry``, one per line of the file.

`monty.serialization.loadfn` gives the objects back. Forces (eV/Å), stress (eV/Å³, positive in
tension), trajectory and phase are in ``data``. Atoms without a cell are a ``Molecule``.
Sites hold Cartesian positions as well as fractional ones; ours are read from the former.

Files of others are lists or dictionaries, however deep, of objects with a ``structure`` and their
energy and forces beside it, or of structures with these among their ``properties``; or one such
object per line.
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
from .keys import QUANTITIES, value_of

_ENTRY = {
    "@module": "pymatgen.entries.computed_entries",
    "@class": "ComputedStructureEntry",
}


def read(path: Path, meaning: FileDescription) -> Iterator[FileFrame]:
    """Frames of all entries, in their order."""
    for entry in _entries(_load(path)):
        structure = entry.get("structure", entry)
        values = {
            name: _plain(value)
            for name, value in {**_beside(entry), **entry.get("data", {})}.items()
        }
        energy, forces, stress, virial = (
            value_of(quantity, values, meaning.names) for quantity in QUANTITIES
        )
        yield FileFrame(
            **atoms_of(structure),
            energy=energy,
            forces=_forces_on_sites(structure) if forces is None else forces,
            stress=stress,
            virial=virial,
            trajectory=str(values.get("trajectory", "")),
            phase=str(values.get("phase", "")),
            keys=tuple(values),
        )


def _load(path: Path) -> Any:
    """The JSON of a file, or a list of the JSON of its lines."""
    text = path.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        if not text.lstrip().startswith("{"):
            raise
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Every object with a structure, and every structure that is in no such object."""
    if isinstance(value, dict) and ("structure" in value or "sites" in value):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _entries(inner)


def _beside(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an object has beside its structure."""
    if "structure" in entry:
        return {k: v for k, v in entry.items() if k not in ("structure", "data")}
    return dict(entry.get("properties") or {})


def _plain(value: Any) -> Any:
    """monty writes numpy arrays as dictionaries."""
    is_array = isinstance(value, dict) and value.get("@class") == "array"
    return value["data"] if is_array else value


def _forces_on_sites(structure: Mapping[str, Any]) -> list[Any] | None:
    sites = [site.get("properties") or {} for site in structure["sites"]]
    there = all("forces" in properties for properties in sites)
    return [properties["forces"] for properties in sites] if there else None


def atoms_of(structure: Mapping[str, Any]) -> dict[str, Any]:
    """Species, cell, positions and periodicity of a Structure or a Molecule."""
    lattice, sites = structure.get("lattice"), structure["sites"]
    cell = np.array(lattice["matrix"], dtype=float) if lattice else np.zeros((3, 3))
    pbc = lattice.get("pbc", [True] * 3) if lattice else [False] * 3
    return {
        "species": [_only_species(site) for site in sites],
        "cell": cell,
        "positions": [site["xyz"] if "xyz" in site else site["abc"] @ cell for site in sites],
        "pbc": (bool(pbc[0]), bool(pbc[1]), bool(pbc[2])),
    }


def _only_species(site: Mapping[str, Any]) -> str:
    if len(site["species"]) != 1 or site["species"][0]["occu"] != 1:
        raise ValueError(f"a site is shared by species: {site['species']}")
    return str(site["species"][0]["element"])


def embedded_description(path: Path) -> Any:
    """The description of a file that `write` made."""
    first = next(_entries(_load(path)), {})
    return first.get("data", {}).get("units")


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
