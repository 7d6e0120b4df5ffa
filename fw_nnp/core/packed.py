"""A packed file of labelled configurations: written once, then memory-mapped by any reader.

One column after the other, each aligned, behind a header of JSON. Rows are in the order of
their label ids. The file is named by the sha256 of these ids: labels are immutable, so equal
names are equal contents. It is written under another name and renamed when complete; readers
of a file that is replaced keep the one they have mapped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from .blocks import Block
from .errors import StoreError
from .hashing import digest
from .records import Configuration, Label, LabelledConfiguration

MAGIC = b"fw_nnp packed 1\n"
_ALIGN = 64
_ID_BYTES = 16


def packed_name(label_ids: Iterable[str]) -> str:
    """File name of the labels `label_ids`, in whatever order they are."""
    return f"{digest(*sorted(label_ids))}.packed"


class Packed(Sequence[LabelledConfiguration]):
    """The labelled configurations of a packed file, read where they are asked for.

    Parameters
    ----------
    path
        A file that `write_packed` made.

    Raises
    ------
    StoreError
        Not such a file, or a part of it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise StoreError("not a packed file", place=str(path), remedy="delete it")
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        if path.stat().st_size != header["size"]:
            raise StoreError("the packed file is cut off", place=str(path), remedy="delete it")
        self._texts: Mapping[str, list[str]] = header["texts"]
        whole = np.memmap(path, dtype=np.uint8, mode="r")
        self._columns = {
            name: whole[start : start + count].view(kind).reshape(shape)
            for name, (kind, shape, start, count) in header["columns"].items()
        }

    def __len__(self) -> int:
        return len(self._columns["energies"])

    @overload
    def __getitem__(self, index: int) -> LabelledConfiguration: ...
    @overload
    def __getitem__(self, index: slice) -> list[LabelledConfiguration]: ...
    def __getitem__(
        self, index: int | slice
    ) -> LabelledConfiguration | list[LabelledConfiguration]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        i = index % len(self)
        column = self._columns
        atoms = slice(int(column["offsets"][i]), int(column["offsets"][i + 1]))
        pbc = column["pbc"][i]
        return LabelledConfiguration(
            configuration=Configuration(
                cell=column["cells"][i],
                positions=column["positions"][atoms],
                numbers=column["numbers"][atoms],
                pbc=(bool(pbc[0]), bool(pbc[1]), bool(pbc[2])),
            ),
            label=Label(
                configuration_id="cfg-" + column["configuration_ids"][i].tobytes().hex(),
                theory_id=self._text("theories", i),
                energy=float(column["energies"][i]),
                forces=column["forces"][atoms] if column["has_forces"][i] else None,
                stress=column["stress"][i] if column["has_stress"][i] else None,
            ),
            trajectory=self._text("trajectories", i),
            phase=self._text("phases", i),
        )

    def _text(self, name: str, i: int) -> str:
        return self._texts[name][int(self._columns[name][i])]

    @property
    def label_ids(self) -> list[str]:
        """Sorted ids of all labels."""
        data = np.ascontiguousarray(self._columns["label_ids"]).tobytes().hex()
        width = 2 * _ID_BYTES
        return ["lbl-" + data[i : i + width] for i in range(0, len(data), width)]

    def columns(self) -> Mapping[str, NDArray[Any]]:
        """All columns as views on the file; atoms of row i are ``offsets[i]:offsets[i + 1]``.

        ``offsets`` (B + 1,), ``numbers`` (A,), ``positions`` and ``forces`` (A, 3), ``cells`` and
        ``stress`` (B, 3, 3), ``energies`` (B,), ``pbc`` (B, 3), ``has_forces`` and
        ``has_stress`` (B,).
        """
        return self._columns


def write_packed(
    path: Path, sizes: Mapping[str, int], blocks: Iterable[Block], texts: Mapping[str, list[str]]
) -> None:
    """Write the rows of `blocks`, which may come in any order; memory holds one block at a time.

    Parameters
    ----------
    sizes
        Label id -> number of atoms, of every row that will come.
    texts
        ``theories``, ``trajectories``, ``phases`` -> all texts that occur.

    Raises
    ------
    StoreError
        A row of `sizes` did not come.
    """
    ids = sorted(sizes)
    offsets = np.concatenate([[0], np.cumsum([sizes[i] for i in ids])]).astype(np.int64)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.partial")
    try:
        columns = _lay_out(partial, len(ids), int(offsets[-1]), texts)
        columns["offsets"][:] = offsets
        place = {id_: i for i, id_ in enumerate(ids)}
        index = {name: {text: i for i, text in enumerate(known)} for name, known in texts.items()}
        written = 0
        for block in blocks:
            _fill(columns, block, np.array([place[i] for i in block.label_ids]), index)
            written += len(block)
        if written != len(ids):
            raise StoreError(f"{len(ids) - written} labels are missing", place=str(path))
        for column in columns.values():
            if isinstance(column.base, np.memmap):
                column.base.flush()
                break
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _lay_out(path: Path, b: int, a: int, texts: Mapping[str, list[str]]) -> dict[str, NDArray[Any]]:
    """Make the file with its header and return its columns, to be filled."""
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {
        "label_ids": ("|u1", (b, _ID_BYTES)),
        "configuration_ids": ("|u1", (b, _ID_BYTES)),
        "offsets": ("<i8", (b + 1,)),
        "energies": ("<f8", (b,)),
        "cells": ("<f8", (b, 3, 3)),
        "stress": ("<f8", (b, 3, 3)),
        "positions": ("<f8", (a, 3)),
        "forces": ("<f8", (a, 3)),
        "theories": ("<i4", (b,)),
        "trajectories": ("<i4", (b,)),
        "phases": ("<i4", (b,)),
        "numbers": ("|u1", (a,)),
        "pbc": ("|b1", (b, 3)),
        "has_forces": ("|b1", (b,)),
        "has_stress": ("|b1", (b,)),
    }
    space = 4096 + len(json.dumps(texts))  # for the header; the rest of it stays empty
    position = -(-space // _ALIGN) * _ALIGN
    columns = {}
    for name, (kind, shape) in kinds.items():
        count = int(np.prod(shape)) * np.dtype(kind).itemsize
        columns[name] = (kind, shape, position, count)
        position += -(-count // _ALIGN) * _ALIGN
    header = json.dumps({"size": position, "columns": columns, "texts": texts}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(MAGIC + len(header).to_bytes(8, "little") + header)
        file.truncate(position)
    whole = np.memmap(path, dtype=np.uint8, mode="r+")
    return {
        name: whole[start : start + count].view(kind).reshape(shape)
        for name, (kind, shape, start, count) in columns.items()
    }


def _fill(
    columns: Mapping[str, NDArray[Any]],
    block: Block,
    rows: NDArray[np.int64],
    index: Mapping[str, Mapping[str, int]],
) -> None:
    for name, ids in (
        ("label_ids", block.label_ids),
        ("configuration_ids", block.configuration_ids),
    ):
        data = bytes.fromhex("".join(id_[4:] for id_ in ids))
        columns[name][rows] = np.frombuffer(data, dtype=np.uint8).reshape(-1, _ID_BYTES)
    columns["energies"][rows] = block.energies
    columns["cells"][rows] = block.cells
    columns["pbc"][rows] = block.pbc
    columns["has_forces"][rows] = block.forces is not None
    columns["has_stress"][rows] = block.stress is not None
    if block.stress is not None:
        columns["stress"][rows] = block.stress
    atoms = (columns["offsets"][rows][:, None] + np.arange(block.n_atoms)).ravel()
    columns["numbers"][atoms] = block.numbers.ravel()
    columns["positions"][atoms] = block.positions.reshape(-1, 3)
    if block.forces is not None:
        columns["forces"][atoms] = block.forces.reshape(-1, 3)
    for name, texts in (
        ("theories", block.theory_ids),
        ("trajectories", block.trajectories),
        ("phases", block.phases),
    ):
        columns[name][rows] = [index[name][text] for text in texts]
