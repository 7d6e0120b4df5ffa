"""Blocks to documents, column by column: the way back of `columns`.

Documents of one layout differ in their values only. So one row is encoded, copied for all rows
of its layout, and each column of values is laid over the copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from numpy.typing import ArrayLike

from fw_nnp.core.blocks import Block

from .base import Document
from .columns import Bytes, layout
from .documents import composition, largest_force, pressure, row_documents
from .shelf import BATCH

LARGEST = 1 << 24  # bytes of documents made at once: large cells come in smaller pieces


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Documents in BSON, each with its id."""

    ids: list[str]
    data: list[bytes]


def decoded(data: bytes) -> list[Document]:
    """Documents in BSON, one after the other, as dictionaries."""
    options: CodecOptions[Document] = CodecOptions(tz_aware=True)
    return bson.decode_all(data, options)


def block_rows(
    block: Block,
    code: str,
    frames: Sequence[Mapping[str, Any]],
    lists: Mapping[str, list[str]],
) -> Iterator[tuple[Rows, Rows]]:
    """(configurations, labels) of a block, in pieces; rows of one layout come together.

    Parameters
    ----------
    code, frames
        As in `row_documents`, a frame per row.
    lists
        Further list fields of all documents, such as the campaign.
    """
    columns = _columns(block, frames)
    tails = {
        key: bson.encode({"provenance": frame["provenance"]})[4:]
        for key, frame in {id(frame): frame for frame in frames}.items()
    }
    for rows in _alike(block, frames):
        configuration, label = row_documents(block, rows[0], code, frames[rows[0]])
        del label["provenance"]  # of any layout: it goes to the end of each row
        texts = {
            "configuration": [block.configuration_ids[i] for i in rows],
            "theory": [block.theory_ids[i] for i in rows],
            "trajectory": [block.trajectories[i] for i in rows],
        }
        values = {name: column[rows] for name, column in columns.items()}
        values |= {name: _bytes_of(column) for name, column in texts.items()}
        label_ids = [block.label_ids[i] for i in rows]
        own = {name: value for name, value in lists.items() if name != "purpose"}
        first = _filled({**configuration, **own}, values | {"_id": values["configuration"]})
        second = _filled({**label, **lists}, values | {"_id": _bytes_of(label_ids)})
        yield (
            Rows(ids=texts["configuration"], data=[row.tobytes() for row in first]),
            Rows(
                ids=label_ids,
                data=[
                    _joined(row.tobytes(), tails[id(frames[i])])
                    for row, i in zip(second, rows, strict=True)
                ],
            ),
        )


def _alike(block: Block, frames: Sequence[Mapping[str, Any]]) -> Iterator[list[int]]:
    """Rows whose documents have the same layout and the same fixed texts."""
    found: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    formulas = [composition(numbers.tobytes())[2] for numbers in block.numbers]
    for i, frame in enumerate(frames):
        length = len(block.trajectories[i].encode())
        found[block.phases[i], frame["sampler"], formulas[i], length].append(i)
    size = max(1, min(BATCH, LARGEST // (1_000 + 49 * block.n_atoms)))
    for rows in found.values():
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _columns(block: Block, frames: Sequence[Mapping[str, Any]]) -> dict[str, Bytes]:
    """(B, size) bytes of every number, by the name of its place."""
    n = block.n_atoms
    columns: dict[str, ArrayLike] = {
        "volume_per_atom": block.volumes / n,
        "energy_per_atom": block.energies / n,
        "energy": block.energies,
        "temperature": np.array([float(f["temperature"]) for f in frames]),
        "time": np.array([float(f["time"]) for f in frames]),
        "step": np.array([f["step"] for f in frames], dtype=np.int64),
        "corrections": np.array(
            [len(f["provenance"].get("corrections", ())) for f in frames], dtype=np.int32
        ),
        "cell.data": block.cells,
        "positions.data": block.positions,
        "numbers": block.numbers,
        **{f"pbc.{axis}": block.pbc[:, axis] for axis in range(3)},
    }
    if block.forces is not None:
        columns |= {"max_force": largest_force(block.forces), "forces.data": block.forces}
    if block.stress is not None:
        columns |= {"pressure": pressure(block.stress), "stress.data": block.stress}
    return {name: _bytes(np.asarray(column)) for name, column in columns.items()}


def _bytes(column: Any) -> Bytes:
    size = column[0].nbytes
    return np.frombuffer(column.tobytes(), dtype=np.uint8).reshape(-1, size)


def _bytes_of(texts: Sequence[str]) -> Bytes:
    """(B, size) bytes of texts of one length."""
    return np.frombuffer(bytearray("".join(texts).encode()), np.uint8).reshape(len(texts), -1)


def _filled(template: Document, columns: Mapping[str, Bytes]) -> Bytes:
    """(B, size) copies of a document, each with its row of every column that it has."""
    data = bson.encode(template)
    places, _ = layout(data)
    rows = np.tile(np.frombuffer(data, dtype=np.uint8), (len(columns["_id"]), 1))
    for name in columns.keys() & places.keys():
        _, start, size = places[name]
        rows[:, start : start + size] = columns[name]
    return rows


def _joined(document: bytes, tail: bytes) -> bytes:
    """A BSON document with one more field, `tail`, which is a document without its length."""
    size = len(document) - 1 + len(tail)
    return size.to_bytes(4, "little") + document[4:-1] + tail
