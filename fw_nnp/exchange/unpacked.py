"""Files that were packed: .gz, .bz2, .xz, and .zip around one file or one folder."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fw_nnp.core.errors import SpecError
from fw_nnp.core.unpacking import BROKEN, is_packed, opened

READABLE = (
    "extended XYZ, HDF5, mlearn or pymatgen JSON, DeePMD folders, ASE databases and trajectories"
)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """`path` itself, or what it holds, for as long as the context lasts.

    Raises
    ------
    SpecError
        The file is damaged, or an archive of several things.
    """
    is_zip = path.is_file() and zipfile.is_zipfile(path)
    if not path.is_file() or not (is_zip or is_packed(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = (_zip if is_zip else _plain)(path, Path(folder))
        except (*BROKEN, zipfile.BadZipFile) as error:
            raise SpecError(
                f"cannot be unpacked: {error}", place=str(path), remedy="fetch the file again"
            ) from error
        yield found


def _plain(path: Path, folder: Path) -> Path:
    target = folder / path.stem
    with opened(path) as packed, target.open("wb") as stream:
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
        if all(name.endswith(".npy") for name in names) and path.suffix == ".npz":
            raise SpecError(
                f"NumPy arrays ({', '.join(names)}), whose meaning no one has agreed on",
                place=str(path),
                remedy=f"write them with ase, for example as extended XYZ; known are {READABLE}",
            )
        several = len(names) != 1 and not any(name.endswith("type.raw") for name in names)
        if several:
            raise SpecError(
                f"an archive of {len(names)} files: {', '.join(names[:5])} ...",
                place=str(path),
                remedy="unpack it and import its files one by one",
            )
        archive.extractall(folder, names)
    return folder / names[0] if len(names) == 1 else folder
