"""DeePMD-kit's npy folders: a system of frames with the same atoms in each folder.

``type_map.raw`` and ``type.raw`` say the elements, ``set.*/{box,coord,energy,force,virial}.npy``
are in eV and Å, ``nopbc`` marks open boundaries; frames of different atoms in one folder have
``set.*/real_atom_types.npy`` (-1 where an atom is only there to fill the row), and old folders
have ``coord.raw`` and so on as text. The virial is -V times our stress. Folders written here have
``set.*/stress.npy``, too, in which no bit is lost, and ``frames.json`` with trajectories and
phases; DeePMD-kit and dpdata do not look at them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from fw_nnp.core.blocks import Block, blocks_of
from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import FloatArray, IntArray, LabelledConfiguration

from .description import FileDescription
from .frame import FileFrame

BLOCK = 5_000  # frames in a system that are held in memory
_AGREEMENT = 1e-9  # relative, of stress.npy with virial.npy


def is_system(path: Path) -> bool:
    """Whether a folder holds DeePMD systems, directly or below."""
    return next(path.rglob("type.raw"), None) is not None


def read(path: Path, meaning: FileDescription) -> Iterator[FileFrame]:
    """Frames of all systems below `path`, in the order of their paths."""
    for file in sorted(path.rglob("type.raw")):
        yield from _system(file.parent, path)


def _system(folder: Path, root: Path) -> Iterator[FileFrame]:
    types = np.loadtxt(folder / "type.raw", dtype=int, ndmin=1)
    above = [place for place in folder.parents if root in (place, *place.parents)]
    maps = [place / "type_map.raw" for place in (folder, *above)]  # one may serve all systems
    names = next((file for file in maps if file.exists()), None)
    if names is None:
        raise SpecError(
            "no type_map.raw: the elements are not known",
            place=str(folder),
            remedy="write one element per line into it, in the order of the types",
        )
    known = names.read_text().split()
    periodic = not (folder / "nopbc").exists()
    parts = sorted(folder.glob("set.*")) or [folder]  # a folder of texts has no sets
    for part in parts:
        yield from _set(part, types, known, periodic)


def _set(part: Path, types: IntArray, known: list[str], periodic: bool) -> Iterator[FileFrame]:
    n = len(types)
    positions, cells = _load(part, "coord", n, 3), _load(part, "box", 3, 3)
    if positions is None:
        raise SpecError("no coord.npy", place=str(part))
    if periodic and cells is None:
        raise SpecError(
            "no box.npy",
            place=str(part),
            remedy="say that the boundaries are open with an empty file 'nopbc' beside type.raw",
        )
    energy, forces = _load(part, "energy"), _load(part, "force", n, 3)
    virial, stress = _load(part, "virial", 3, 3), _load(part, "stress", 3, 3)
    mixed = _load(part, "real_atom_types", n)
    notes = part / "frames.json"
    said = json.loads(notes.read_text()) if notes.exists() else {}
    for i in range(len(positions)):
        kinds = types if mixed is None else mixed[i].astype(int)
        real = kinds >= 0
        cell = cells[i] if cells is not None and periodic else np.zeros((3, 3))
        yield FileFrame(
            species=[_species(known, number, part) for number in kinds[real]],
            cell=cell,
            positions=positions[i][real],
            pbc=(periodic, periodic, periodic),
            energy=None if energy is None else float(energy[i].item()),
            forces=None if forces is None else forces[i][real],
            stress=_stress(part, i, cell, virial, stress) if periodic else None,
            trajectory=said["trajectories"][i] if said else "",
            phase=said["phases"][i] if said else "",
        )


def _species(known: list[str], number: int, part: Path) -> str:
    if number >= len(known):
        raise SpecError(
            f"type {number}, but type_map.raw names {len(known)} elements", place=str(part)
        )
    return known[number]


def _load(part: Path, name: str, *shape: int) -> FloatArray | None:
    """A column, from its .npy file or from a .raw file of text."""
    file, text = part / f"{name}.npy", part / f"{name}.raw"
    if file.exists():
        array = np.load(file, allow_pickle=False).astype(np.float64)
    elif text.exists():
        array = np.loadtxt(text, ndmin=2)
    else:
        return None
    return np.asarray(array.reshape(len(array), *shape))


def _stress(
    part: Path, i: int, cell: FloatArray, virial: FloatArray | None, stress: FloatArray | None
) -> FloatArray | None:
    if virial is None:
        return None
    volume = abs(np.linalg.det(cell))
    if volume == 0.0:
        raise SpecError("a virial, but the cell has no volume to divide by", place=str(part))
    if np.isnan(virial[i]).all():
        return None
    from_virial = np.asarray(-virial[i] / volume)
    if stress is None:
        return from_virial
    scale = np.abs(from_virial).max() + 1e-12
    if np.abs(stress[i] - from_virial).max() > _AGREEMENT * scale:
        raise SpecError(
            "stress.npy and virial.npy contradict each other",
            place=str(part),
            remedy="delete the one that is wrong",
        )
    return np.asarray(stress[i])


def write(path: Path, items: Iterable[LabelledConfiguration]) -> int:
    """A system per list of atoms under `path`; returns the number of frames."""
    count = 0
    systems: dict[Any, Path] = {}
    path.mkdir()
    for block in blocks_of(_whole(items), BLOCK):
        for rows, numbers, periodic in _alike(block):
            key = (numbers.tobytes(), periodic, block.forces is None, block.stress is None)
            if key not in systems:
                systems[key] = path / f"{len(systems):04d}"
                _write_atoms(systems[key], numbers, periodic)
            _write_set(systems[key], block, rows)
            count += len(rows)
    return count


def _whole(items: Iterable[LabelledConfiguration]) -> Iterator[LabelledConfiguration]:
    for item in items:
        if len(set(item.configuration.pbc)) > 1:
            raise SpecError(
                "DeePMD knows cells that are periodic in all directions or in none",
                place=item.configuration.id,
                remedy="export to extxyz or hdf5, or leave out slabs and wires",
            )
        yield item


def _alike(block: Block) -> Iterator[tuple[Any, Any, bool]]:
    """Rows with the same atoms in the same order, their numbers, and whether periodic."""
    keys = np.column_stack([block.numbers, block.pbc[:, :1]])
    kinds, kind = np.unique(keys, axis=0, return_inverse=True)
    for number, values in enumerate(kinds):
        yield np.flatnonzero(kind.ravel() == number), values[:-1], bool(values[-1])


def _write_atoms(folder: Path, numbers: Any, periodic: bool) -> None:
    folder.mkdir()
    known = sorted(set(numbers.tolist()))
    (folder / "type_map.raw").write_text("".join(f"{chemical_symbols[z]}\n" for z in known))
    (folder / "type.raw").write_text("".join(f"{known.index(z)}\n" for z in numbers.tolist()))
    if not periodic:
        (folder / "nopbc").touch()


def _write_set(folder: Path, block: Block, rows: Any) -> None:
    part = folder / f"set.{len(list(folder.glob('set.*'))):03d}"
    part.mkdir()
    columns = {
        "box": block.cells[rows].reshape(len(rows), 9),
        "coord": block.positions[rows].reshape(len(rows), -1),
        "energy": block.energies[rows],
    }
    if block.forces is not None:
        columns["force"] = block.forces[rows].reshape(len(rows), -1)
    if block.stress is not None:
        stress = block.stress[rows]
        columns["stress"] = stress.reshape(len(rows), 9)
        virial = -stress * block.volumes[rows][:, None, None]
        columns["virial"] = virial.reshape(len(rows), 9)
    for name, values in columns.items():
        np.save(part / f"{name}.npy", values)
    notes = {
        "trajectories": [block.trajectories[i] for i in rows],
        "phases": [block.phases[i] for i in rows],
    }
    (part / "frames.json").write_text(json.dumps(notes))
