"""Files that were packed with gzip, bzip2 or xz, known by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

_OPENERS: Mapping[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a damaged file raises."""


def is_packed(path: Path) -> bool:
    """Whether a file begins as one of them does."""
    return _opener(path) is not None


def opened(path: Path) -> BinaryIO:
    """The content of a file, packed or not."""
    opener = _opener(path)
    return path.open("rb") if opener is None else cast(BinaryIO, opener(path))


def _opener(path: Path) -> Callable[[Path], Any] | None:
    with path.open("rb") as stream:
        head = stream.read(6)
    return next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
