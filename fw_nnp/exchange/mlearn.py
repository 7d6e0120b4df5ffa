"""JSON of the mlearn data sets: a list of pymatgen structures with their outputs.

Zuo et al., J. Phys. Chem. A 124, 731 (2020). The order of the stress components differs
between the files of different elements, so a description is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .frame import FileFrame

READ_NAMES = {"energy": "energy", "forces": "forces", "stress": "virial_stress"}
_SNAPSHOT = re.compile(r"Snapshot \d+ of \d+ of ")


def read(path: Path, names: Mapping[Any, str]) -> Iterator[FileFrame]:
    """Frames of an mlearn file."""
    known = {**READ_NAMES, **names}
    for entry in json.loads(path.read_text(encoding="utf-8")):
        structure, outputs = entry["structure"], entry["outputs"]
        yield FileFrame(
            species=[_only_species(site) for site in structure["sites"]],
            cell=structure["lattice"]["matrix"],
            positions=[site["xyz"] for site in structure["sites"]],
            pbc=(True, True, True),
            energy=outputs.get(known["energy"]),
            forces=outputs.get(known["forces"]),
            stress=outputs.get(known["stress"]),
            trajectory=_trajectory(entry.get("description", "")),
        )


def _only_species(site: Mapping[str, Any]) -> str:
    if len(site["species"]) != 1 or site["species"][0]["occu"] != 1:
        raise ValueError(f"a site is shared by species: {site['species']}")
    return str(site["species"][0]["element"])


def _trajectory(text: str) -> str:
    """``Snapshot 3 of 20 of X`` belongs to trajectory X; other cells were made one by one."""
    return _SNAPSHOT.sub("", text) if _SNAPSHOT.match(text) else ""
