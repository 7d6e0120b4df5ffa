"""BSON documents to columns: many documents of one layout are a table of bytes.

Documents with the same fields and sizes differ in their values only, so the layout of the
first holds for all: a column is a strided view on the batch, whatever the number of rows.
Rows of another layout make a table of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fw_nnp.core.errors import StoreError

Bytes = NDArray[np.uint8]

_DOUBLE, _STRING, _DOCUMENT, _ARRAY, _BINARY, _FLAG, _TIME, _INT32, _INT64 = (
    0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09, 0x10, 0x12,
)  # fmt: skip
_FIXED = {_DOUBLE: 8, _FLAG: 1, _TIME: 8, _INT32: 4, _INT64: 8}
_TYPES = {_DOUBLE: "<f8", _FLAG: "?", _TIME: "<i8", _INT32: "<i4", _INT64: "<i8"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows of one layout.

    Attributes
    ----------
    rows
        (B, size) the documents.
    places
        Name (dotted inside documents) -> BSON type, first byte and number of bytes.
    """

    rows: Bytes
    places: dict[str, tuple[int, int, int]]

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def __len__(self) -> int:
        return len(self.rows)

    def _bytes(self, name: str) -> Bytes:
        _, start, size = self.places[name]
        # Of one row a slice would pass for contiguous, with strides that torch refuses.
        return self.rows[:, start : start + size].copy()

    def numbers(self, name: str) -> NDArray[Any]:
        """(B,) numbers, flags, or times in ms."""
        return self._bytes(name).view(_TYPES[self.places[name][0]])[:, 0]

    def texts(self, name: str) -> list[str]:
        """(B,) texts."""
        data = self._bytes(name)
        if data.shape[1] == 0:
            return [""] * len(self)
        return [value.decode() for value in data.view(f"S{data.shape[1]}")[:, 0].tolist()]

    def binary(self, name: str) -> Bytes:
        """(B, size) bytes."""
        return self._bytes(name)

    def array(self, name: str, *shape: int) -> NDArray[np.float64]:
        """(B, *shape) of a packed array.

        Raises
        ------
        StoreError
            The stored array has another shape.
        """
        data = self._bytes(f"{name}.data")
        if data.shape[1] != 8 * int(np.prod(shape)):
            raise StoreError(f"'{name}' has {data.shape[1]} bytes, not the shape {shape}")
        return data.view("<f8").reshape(len(self), *shape)


def tables(batch: bytes) -> Iterator[Table]:
    """The documents of a batch, those of one layout together."""
    buffer = np.frombuffer(batch, dtype=np.uint8)
    starts, sizes = _extents(batch)
    for size in np.unique(sizes):
        chosen = starts[sizes == size]
        if len(chosen) * size == len(buffer):
            rows = buffer.reshape(-1, size)
        else:
            rows = buffer[chosen[:, None] + np.arange(size)]
        while len(rows):
            places, frame = layout(rows[0].tobytes())
            same = (rows[:, frame] == rows[0, frame]).all(axis=1)
            yield Table(rows=rows if same.all() else rows[same], places=places)
            rows = rows[~same]


def _extents(batch: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each document starts, and how long it is."""
    starts, position = [], 0
    while position < len(batch):
        starts.append(position)
        position += int.from_bytes(batch[position : position + 4], "little")
    return np.array(starts), np.diff([*starts, position])


def layout(document: bytes) -> tuple[dict[str, tuple[int, int, int]], NDArray[np.int64]]:
    """Places of the values, and the bytes that are no values: names, types and sizes."""
    places: dict[str, tuple[int, int, int]] = {}
    _walk(document, 0, "", places)
    frame = np.ones(len(document), dtype=bool)
    for _, start, size in places.values():
        frame[start : start + size] = False
    return places, np.flatnonzero(frame)


def _walk(data: bytes, start: int, prefix: str, places: dict[str, tuple[int, int, int]]) -> None:
    end = start + int.from_bytes(data[start : start + 4], "little") - 1
    position = start + 4
    while position < end:
        kind = data[position]
        stop = data.index(0, position + 1)
        name = prefix + data[position + 1 : stop].decode()
        position = stop + 1
        if kind in _FIXED:
            places[name] = (kind, position, _FIXED[kind])
            position += _FIXED[kind]
        elif kind == _STRING:
            size = int.from_bytes(data[position : position + 4], "little")
            places[name] = (kind, position + 4, size - 1)
            position += 4 + size
        elif kind == _BINARY:
            size = int.from_bytes(data[position : position + 4], "little")
            places[name] = (kind, position + 5, size)
            position += 5 + size
        elif kind in (_DOCUMENT, _ARRAY):
            _walk(data, position, name + ".", places)
            position += int.from_bytes(data[position : position + 4], "little")
        else:
            raise StoreError(f"'{name}' is of the BSON type {kind:#x}, which is no column")
