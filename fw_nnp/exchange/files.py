"""Read any known file of labelled configurations; write one, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.records import LabelledConfiguration, LevelOfTheory
from fw_nnp.core.registry import did_you_mean

from . import asedb, deepmd, extxyz, hdf5, mlearn, pymatgen_json
from .description import ASE_UNITS, FileDescription
from .frame import FileFrame, translate, with_stress
from .unpacked import READABLE, unpacked

Reader = Callable[[Path, FileDescription], Iterator[FileFrame]]
Writer = Callable[[Path, Iterable[LabelledConfiguration]], int]

READERS: Mapping[str, Reader] = {
    "extxyz": extxyz.read,
    "ase-trajectory": extxyz.read_trajectory,
    "hdf5": hdf5.read,
    "mlearn": mlearn.read,
    "ase-db": asedb.read,
    "deepmd": deepmd.read,
    "pymatgen": pymatgen_json.read,
}
WRITERS: Mapping[str, Writer] = {
    "extxyz": extxyz.write,
    "mace": extxyz.write_mace,
    "hdf5": hdf5.write,
    "ase-db": asedb.write,
    "deepmd": deepmd.write,
    "mlearn": mlearn.write,
    "pymatgen": pymatgen_json.write,
}
SUFFIXES = {
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".db": "ase-db",
    ".deepmd": "deepmd",
    ".json": "pymatgen",
}
MEND = "mend this frame, or take it out of the file"
_BROKEN = (ValueError, KeyError, IndexError, TypeError, OSError, AttributeError, sqlite3.Error)


def read_labelled(
    path: Path, description: FileDescription | None = None
) -> Iterator[LabelledConfiguration]:
    """The labelled configurations of a file, one at a time, in eV and Å.

    Parameters
    ----------
    path
        Extended XYZ, HDF5 in ANI style, mlearn or pymatgen JSON, an ASE database or trajectory,
        or a folder of DeePMD systems; known by its content, and read from .gz, .bz2, .xz and
        .zip, too.
    description
        Units, signs and species. Needed for HDF5 of others and for mlearn JSON; what it
        describes must then be in every frame.

    Raises
    ------
    SpecError
        Not such a file, or a frame is broken: names the file and the frame, counted from 0.
    """
    with unpacked(path) as file:
        meaning = _meaning(file, path, description)
        theory_id = _theory(file, meaning).id
        frames = READERS[file_format(file, path)](file, meaning)
        yield from _translated(path, frames, meaning, theory_id, described=description is not None)


def _translated(
    path: Path,
    frames: Iterator[FileFrame],
    meaning: FileDescription,
    theory_id: str,
    *,
    described: bool,
) -> Iterator[LabelledConfiguration]:
    number = 0
    while True:
        place = f"{path}, frame {number}"
        try:
            frame = next(frames)
            if described:
                _check_complete(frame, meaning)
            elif meaning.stress == ASE_UNITS.stress:
                frame = with_stress(frame)
            yield translate(frame, meaning, theory_id, {"file": path.name, "frame": number})
        except StopIteration:
            break
        except SpecError as error:
            raise SpecError(
                f"{error.message}{error.place and f' ({error.place})'}",
                place=place,
                remedy=error.remedy or MEND,
            ) from error
        except _BROKEN as error:
            raise SpecError(
                f"cannot be read: {error}",
                place=place,
                remedy=MEND,
            ) from error
        number += 1
    if number == 0:
        raise SpecError("holds no frames", place=str(path))


def _check_complete(frame: FileFrame, meaning: FileDescription) -> None:
    virial = meaning.stress is not None and meaning.stress.quantity == "virial"
    for quantity in ("forces", "stress"):
        if quantity == "stress" and virial and frame.virial is not None:
            continue
        if getattr(meaning, quantity) is not None and getattr(frame, quantity) is None:
            raise SpecError(
                f"no {quantity}, though the description tells its unit",
                remedy=f"give its name under 'names: {{{quantity}: ...}}' in the description, "
                f"or leave '{quantity}' out of it",
            )


def write_labelled(
    path: Path, items: Iterable[LabelledConfiguration], file_format: str = ""
) -> int:
    """Write `items`, streaming; `path` appears only when all are written.

    Parameters
    ----------
    file_format
        ``extxyz``, ``mace`` (extxyz with ``REF_`` keys), ``hdf5``, ``ase-db``, ``deepmd`` (a
        folder), ``mlearn`` or ``pymatgen``; empty: by the suffix of `path`.

    Returns
    -------
    int
        Number of configurations written.
    """
    name = file_format or SUFFIXES.get(path.suffix, path.suffix)
    if name not in WRITERS:
        raise SpecError(
            f"no format is called '{name}'{did_you_mean(name, list(WRITERS))}",
            place=str(path),
            remedy=f"formats: {', '.join(WRITERS)}; suffixes: {', '.join(SUFFIXES)}",
        )
    if not path.parent.is_dir():
        raise SpecError("no such folder", place=str(path.parent), remedy="make it first")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        count = WRITERS[name](partial, items)
        if count == 0:
            raise SpecError("nothing to write", place=str(path), remedy="choose other labels")
        if partial.is_dir() and path.exists():
            raise SpecError("the folder exists", place=str(path), remedy="choose another name")
        os.replace(partial, path)
    except (OSError, sqlite3.Error) as error:
        raise SpecError(f"cannot be written: {error}", place=str(path)) from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)
    return count


def foreign_theory(path: Path, description: FileDescription | None = None) -> LevelOfTheory:
    """Level of theory of the labels in a file: code ``file``, and what the user says of it.

    Where the description names no theory, the file's sha256 stands for it.
    """
    with unpacked(path) as file:
        return _theory(file, _meaning(file, path, description))


def _theory(file: Path, meaning: FileDescription) -> LevelOfTheory:
    settings: dict[str, Any] = {"description": meaning.model_dump(mode="json")}
    if not meaning.theory:
        settings["sha256"] = _sha256(file)
    return LevelOfTheory(code="file", settings=settings)


def _sha256(path: Path) -> str:
    """Of a file, or of the names and contents of all files of a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    state = hashlib.sha256()
    for file in (file for file in files if file.is_file()):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        if file is path:
            return content
        state.update(f"{file.relative_to(path)} {content}\n".encode())
    return state.hexdigest()


def _meaning(file: Path, path: Path, description: FileDescription | None) -> FileDescription:
    """The description given, that inside the file, or that of the format."""
    if description is not None:
        return description
    name = file_format(file, path)
    if name in ("extxyz", "ase-trajectory", "ase-db", "deepmd"):
        return ASE_UNITS
    inside = {"hdf5": hdf5, "mlearn": mlearn, "pymatgen": pymatgen_json}[name]
    try:
        embedded = inside.embedded_description(file)
    except _BROKEN as error:
        raise SpecError(
            f"cannot be read: {error}", place=str(path), remedy="fetch or write the file again"
        ) from error
    if embedded is None:
        raise SpecError(
            "the file does not say its units, nor the sign and order of its stress",
            place=str(path),
            remedy="describe them in a YAML file, see docs/reference/file_description.md "
            "and examples/descriptions/",
        )
    return parse(FileDescription, embedded, place=str(path))


def file_format(file: Path, path: Path) -> str:
    """The name in READERS of the format of `file`, told from its first bytes.

    Parameters
    ----------
    path
        What the user called it, for messages.
    """
    if file.is_dir() and deepmd.is_system(file):
        return "deepmd"
    try:
        with file.open("rb") as stream:
            head = stream.read(2048)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", place=str(path)) from None
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if head.startswith(b"SQLite format 3\0"):
        return "ase-db"
    if head.startswith(b"- of UlmASE-Trajectory"):
        return "ase-trajectory"
    if head.lstrip().startswith((b"[", b"{")):
        return "mlearn" if _mlearn_like(head, file) else "pymatgen"
    if head.split(b"\n", 1)[0].strip().isdigit():
        return "extxyz"
    raise SpecError(
        "a file of an unknown format",
        place=str(path),
        remedy=f"known are {READABLE}; convert it with ase, `ase convert FILE out.extxyz`",
    )


def _mlearn_like(head: bytes, path: Path) -> bool:
    """mlearn's is a list of entries with ``outputs``; pymatgen's hold the energy themselves."""
    if b"ComputedStructureEntry" in head or head.lstrip().startswith(b"{"):
        return False
    return b'"outputs"' in head or b'"outputs"' in path.read_bytes()
