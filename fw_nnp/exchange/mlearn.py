"""JSON of the mlearn data sets: a list of pymatgen structures with their outputs.

Zuo et al., J. Phys. Chem. A 124, 731 (2020). The order of the stress components differs
between the files of different elements, so a description is needed; files written here have
it in each entry, under ``units``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import LabelledConfiguration, voigt_stress

from .description import ASE_UNITS, FileDescription
from .frame import FileFrame
from .pymatgen_json import atoms_of, structure_json, write_list

READ_NAMES = {"energy": "energy", "forces": "forces", "stress": "virial_stress"}
_SNAPSHOT = re.compile(r"Snapshot \d+ of \d+ of ")


def read(path: Path, meaning: FileDescription) -> Iterator[FileFrame]:
    """Frames of an mlearn file."""
    known: dict[str, str] = READ_NAMES | dict(meaning.names)
    for entry in json.loads(path.read_text(encoding="utf-8")):
        structure, outputs = entry["structure"], entry["outputs"]
        yield FileFrame(
            **atoms_of(structure),
            energy=outputs.get(known["energy"]),
            forces=outputs.get(known["forces"]),
            stress=outputs.get(known["stress"]),
            trajectory=entry.get("trajectory") or _trajectory(entry.get("description", "")),
            phase=str(entry.get("phase", "")),
        )


def _trajectory(text: str) -> str:
    """``Snapshot 3 of 20 of X`` belongs to trajectory X; other cells were made one by one."""
    return _SNAPSHOT.sub("", text) if _SNAPSHOT.match(text) else ""


def embedded_description(path: Path) -> Any:
    """The description inside a file that `write` made."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return entries[0].get("units") if entries else None


def write(path: Path, items: Iterable[LabelledConfiguration]) -> int:
    """One entry per item, stress as six numbers; returns their number."""
    return write_list(path, map(_entry, items))


def _entry(item: LabelledConfiguration) -> dict[str, Any]:
    configuration, label = item.configuration, item.label
    if not (all(configuration.pbc) and configuration.cell.any()):
        raise SpecError(
            "mlearn knows periodic cells only",
            place=configuration.id,
            remedy="export to extxyz, hdf5 or pymatgen, or leave out molecules and slabs",
        )
    outputs: dict[str, Any] = {"energy": label.energy}
    if label.forces is not None:
        outputs["forces"] = label.forces.tolist()
    if label.stress is not None:
        outputs["virial_stress"] = voigt_stress(label.stress).tolist()
    return {
        "structure": structure_json(configuration),
        "outputs": outputs,
        "num_atoms": configuration.n_atoms,
        "description": f"{item.trajectory} {item.phase}".strip(),
        "trajectory": item.trajectory,
        "phase": item.phase,
        "units": ASE_UNITS.model_dump(mode="json"),
    }
