"""Files that were packed: .gz, .bz2, .xz, and .zip around one file or one folder."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import SpecError

_OPENERS: Mapping[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """`path` itself, or what it holds, for as long as the context lasts.

    Raises
    ------
    SpecError
        The file is damaged, or an archive of several things.
    """
    head = b""
    if path.is_file():
        with path.open("rb") as stream:
            head = stream.read(6)
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    if opener is None and not head.startswith(b"PK\x03\x04"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = _plain(path, opener, Path(folder)) if opener else _zip(path, Path(folder))
        except _BROKEN as error:
            raise SpecError(
                f"cannot be unpacked: {error}", place=str(path), remedy="fetch the file again"
            ) from error
        yield found


def _plain(path: Path, opener: Callable[[Path], Any], folder: Path) -> Path:
    target = folder / path.stem
    with opener(path) as packed, target.open("wb") as stream:
        shutil.copyfileobj(packed, stream, 1 << 20)
    with target.open("rb") as stream:
        if stream.read(512)[257:262] == b"ustar":
            raise SpecError(
                "an archive of several files", place=str(path), remedy="unpack it with tar first"
            )
    return target


def _zip(path: Path, folder: Path) -> Path:
    """The only file of an archive, or its folder where that holds DeePMD's."""
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/") and "__MACOSX" not in n]
        several = len(names) != 1 and not any(name.endswith("type.raw") for name in names)
        if several:
            raise SpecError(
                f"an archive of {len(names)} files: {', '.join(names[:5])} ...",
                place=str(path),
                remedy="unpack it and import its files one by one",
            )
        archive.extractall(folder, names)
    return folder / names[0] if len(names) == 1 else folder
