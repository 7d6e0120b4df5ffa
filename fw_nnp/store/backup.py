"""Backup: the whole store in one tar file of BSON, streaming and checksummed.

``COLLECTION/00000.bson`` are documents one after the other, as `bsondump` and `mongorestore`
read them; ``blobs/SHA256`` are files. Each member carries its sha256 and the number of its
documents in its pax header; ``manifest.json`` is the last and counts all, so a cut-off archive
is told from a whole one. Collections that refer to others come before these: what is written
meanwhile leaves no reference without its record.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fw_nnp.core.errors import SpecError, StoreError

from .base import Documents
from .schema import COLLECTIONS, SCHEMA

FORMAT = 1
PIECE = 16 << 20  # bytes of one member; what memory holds
ORDER = (
    "evaluations", "progress", "steps", "chunks", "campaigns", "models", "datasets", "members",
    "conflicts", "quarantine", "labels", "configurations", "theories",
)  # fmt: skip
_SHA, _COUNT = "fw_nnp.sha256", "fw_nnp.documents"
_BROKEN = (tarfile.TarError, EOFError, OSError)


def backup(documents: Documents, path: Path) -> Counter[str]:
    """Write everything to `path`, which appears when it is complete; returns the counts."""
    if path.exists():
        raise SpecError("the file exists", place=str(path), remedy="choose another name")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    counts: Counter[str] = Counter()
    try:
        with partial.open("wb") as file, tarfile.open(fileobj=file, mode="w|") as archive:
            for name in ORDER:
                for number, (data, n) in enumerate(_pieces(documents, name)):
                    _put(archive, f"{name}/{number:05d}.bson", data, n)
                    counts[name] += n
            for blob in documents.blobs():
                _put(archive, f"blobs/{blob}", documents.get_blob(blob), 1)
                counts["blobs"] += 1
            manifest = {"format": FORMAT, "schema": SCHEMA, "counts": counts}
            _put(archive, "manifest.json", json.dumps(manifest).encode(), 0)
            archive.close()
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}", place=str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
    return counts


def _pieces(documents: Documents, collection: str) -> Iterator[tuple[bytes, int]]:
    """BSON of a collection in pieces of about PIECE bytes, with their numbers of documents."""
    held, size, n = [], 0, 0
    for batch in documents.find_raw(collection, {}):
        held.append(batch)
        size += len(batch)
        n += _count(batch)
        if size >= PIECE:
            yield b"".join(held), n
            held, size, n = [], 0, 0
    if held:
        yield b"".join(held), n


def _count(batch: bytes) -> int:
    n = position = 0
    while position < len(batch):
        position += int.from_bytes(batch[position : position + 4], "little")
        n += 1
    return n


def _put(archive: tarfile.TarFile, name: str, data: bytes, n: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.pax_headers = {_SHA: hashlib.sha256(data).hexdigest(), _COUNT: str(n)}
    archive.addfile(member, io.BytesIO(data))


def restore(documents: Documents, path: Path) -> Counter[str]:
    """Put an archive into an empty database; returns the counts.

    Raises
    ------
    SpecError
        The store is not empty, or the file is no archive.
    StoreError
        The archive is damaged or cut off: what was restored is not whole.
    """
    for name in COLLECTIONS:
        if documents.count(name, {}):
            raise SpecError(
                f"the store is not empty: '{name}' has records",
                place="restore",
                remedy="restore into a database of another name, or an empty one",
            )
    documents.prepare()
    counts: Counter[str] = Counter()
    manifest = None
    try:
        with tarfile.open(path, mode="r|") as archive:
            for member in archive:
                data = _checked(archive, member, path)
                kind, _, rest = member.name.partition("/")
                if member.name == "manifest.json":
                    manifest = json.loads(data)
                elif kind == "blobs":
                    documents.put_blob(rest, data)
                    counts["blobs"] += 1
                elif kind in COLLECTIONS:
                    counts[kind] += documents.add_raw(kind, data)
                else:
                    raise SpecError(f"'{member.name}' is not of a backup", place=str(path))
    except _BROKEN as error:
        raise StoreError(
            f"no whole archive: {error}", place=str(path), remedy="use another backup"
        ) from error
    if manifest is None or Counter(manifest["counts"]) != counts:
        raise StoreError(
            "the archive is cut off: what was restored is not whole",
            place=str(path),
            remedy="drop the database and use another backup",
        )
    return counts


def _checked(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    file = archive.extractfile(member)
    data = file.read() if file else b""
    if hashlib.sha256(data).hexdigest() != member.pax_headers.get(_SHA):
        raise StoreError(
            f"'{member.name}' is damaged: its sha256 is another",
            place=str(path),
            remedy="use another backup",
        )
    return data
