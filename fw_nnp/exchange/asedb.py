"""ASE's own database files (sqlite)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ase.db import connect

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.records import LabelledConfiguration

from .description import FileDescription
from .frame import FileFrame
from .keys import QUANTITIES, value_of

CALCULATED = ("free_energy", "energy", "forces", "stress")


def read(path: Path, meaning: FileDescription) -> Iterator[FileFrame]:
    """Rows in the order of their ids: results, key-value pairs and data are looked through."""
    with connect(path, type="db") as database:
        for row in database.select():
            results = {name: row.get(name) for name in CALCULATED}
            every = {**row.data, **row.key_value_pairs, **results}
            found = {name: value for name, value in every.items() if value is not None}

            energy, forces, stress, virial = (
                value_of(quantity, found, meaning.names) for quantity in QUANTITIES
            )
            yield FileFrame(
                species=row.symbols,
                cell=row.cell,
                positions=row.positions,
                pbc=(bool(row.pbc[0]), bool(row.pbc[1]), bool(row.pbc[2])),
                energy=energy,
                forces=forces,
                stress=stress,
                virial=virial,
                trajectory=str(found.get("trajectory", "")),
                phase=str(found.get("phase", "")),
                keys=tuple(sorted(found)),
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
