"""ASE's own database files (sqlite)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ase.db import connect

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.records import LabelledConfiguration

from .frame import FileFrame

READ_NAMES: Mapping[str, tuple[str, ...]] = {
    "energy": ("free_energy", "energy"),
    "forces": ("forces",),
    "stress": ("stress",),
}


def read(path: Path, names: Mapping[Any, str]) -> Iterator[FileFrame]:
    """Rows in the order of their ids; `names` are looked up in the row and its data."""
    with connect(path, type="db") as database:
        for row in database.select():

            def value(quantity: str, row: Any = row) -> Any:
                candidates = (names[quantity],) if quantity in names else READ_NAMES[quantity]
                found = (row.get(name, row.data.get(name)) for name in candidates)
                return next((entry for entry in found if entry is not None), None)

            yield FileFrame(
                species=row.symbols,
                cell=row.cell,
                positions=row.positions,
                pbc=(bool(row.pbc[0]), bool(row.pbc[1]), bool(row.pbc[2])),
                energy=value("energy"),
                forces=value("forces"),
                stress=value("stress"),
                trajectory=str(row.data.get("trajectory", "")),
                phase=str(row.data.get("phase", "")),
            )


def write(path: Path, items: Iterable[LabelledConfiguration]) -> int:
    """One row per item, trajectory, phase and label id in its data; returns their number."""
    count = 0
    with connect(path, type="db", use_lock_file=False) as database:
        for item in items:
            data = {"label": item.label.id, "trajectory": item.trajectory, "phase": item.phase}
            database.write(to_atoms(item.configuration, item.label), data=data)
            count += 1
    return count
