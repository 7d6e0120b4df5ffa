"""Extended XYZ: read through ASE, written with every bit.

Energy, forces and stress or virial are read under all the names that `keys` knows: ``REF_energy``
as MACE writes it, ``energy`` as ASE and NequIP do, ``dft_force`` and ``virial`` of GAP's data sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TextIO

from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str, read_xyz
from ase.io.trajectory import Trajectory

from fw_nnp.core.records import FloatArray, LabelledConfiguration

from .description import FileDescription
from .frame import FileFrame
from .keys import QUANTITIES, refuse_unread_forces, value_of


def read(path: Path, meaning: FileDescription) -> Iterator[FileFrame]:
    """Frames of an extxyz file, one at a time."""
    with path.open(encoding="utf-8") as stream:
        for text in _frame_texts(stream):
            yield frame_of(next(iter(read_xyz(StringIO(text), index=0))), meaning)


def _frame_texts(stream: TextIO) -> Iterator[str]:
    """Each frame's own lines, so that a broken one is known by its number."""
    for header in stream:
        if not header.strip():
            continue
        if not header.strip().isdigit():
            raise ValueError(f"'{header.strip()}' is no number of atoms")
        n_atoms = int(header)
        lines = list(islice(stream, n_atoms + 1))
        if len(lines) < n_atoms + 1:
            raise ValueError(f"the file ends after {max(len(lines) - 1, 0)} of {n_atoms} atoms")
        yield header + "".join(lines)


def read_trajectory(path: Path, meaning: FileDescription) -> Iterator[FileFrame]:
    """Frames of ASE's binary trajectories (.traj), which hold the same in another way."""
    with Trajectory(str(path)) as frames:
        for atoms in frames:
            yield frame_of(atoms, meaning)


def frame_of(atoms: Atoms, meaning: FileDescription) -> FileFrame:
    """What ASE read of one frame."""
    results = atoms.calc.results if atoms.calc else {}
    found = {**atoms.arrays, **atoms.info, **results}

    energy, forces, stress, virial = (
        value_of(quantity, found, meaning.names) for quantity in QUANTITIES
    )
    if forces is None and meaning.forces is not None:
        refuse_unread_forces(k for k, v in atoms.arrays.items() if v.shape[1:] == (3,))
    pbc = atoms.get_pbc()
    return FileFrame(
        species=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        positions=atoms.get_positions(),
        pbc=(bool(pbc[0]), bool(pbc[1]), bool(pbc[2])),
        energy=energy,
        forces=forces,
        stress=stress,
        virial=virial,
        trajectory=str(atoms.info.get("trajectory", "")),
        phase=str(atoms.info.get("phase", "")),
        keys=tuple(sorted({*found} - {"numbers", "positions"})),
    )


def write(path: Path, items: Iterable[LabelledConfiguration]) -> int:
    """Keys ``energy``, ``forces``, ``stress``; returns the number of frames."""
    return _write(path, items, prefix="")


def write_mace(path: Path, items: Iterable[LabelledConfiguration]) -> int:
    """Keys ``REF_energy``, ``REF_forces``, ``REF_stress``; returns the number of frames."""
    return _write(path, items, prefix="REF_")


def _write(path: Path, items: Iterable[LabelledConfiguration], prefix: str) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as stream:
        for item in items:
            stream.write(_text(item, prefix))
            count += 1
    return count


def _text(item: LabelledConfiguration, prefix: str) -> str:
    configuration, label = item.configuration, item.label
    header = [f'Lattice="{_numbers(configuration.cell)}"'] if configuration.cell.any() else []
    columns = [configuration.positions]
    properties = "species:S:1:pos:R:3"
    if label.forces is not None:
        columns.append(label.forces)
        properties += f":{prefix}forces:R:3"
    header += [f"Properties={properties}", f"{prefix}energy={label.energy!r}"]
    if label.stress is not None:
        header.append(f'{prefix}stress="{_numbers(label.stress)}"')
    known = {"label": label.id, "trajectory": item.trajectory, "phase": item.phase}
    header.append(key_val_dict_to_str({key: text for key, text in known.items() if text}))
    header.append('pbc="{}"'.format(" ".join("T" if p else "F" for p in configuration.pbc)))
    rows = zip(configuration.symbols, *columns, strict=True)
    body = "".join(f"{symbol} {' '.join(map(_numbers, row))}\n" for symbol, *row in rows)
    return f"{configuration.n_atoms}\n{' '.join(header)}\n{body}"


def _numbers(values: FloatArray) -> str:
    """Shortest decimals that give back the same float64."""
    return " ".join(map(repr, values.ravel().tolist()))
