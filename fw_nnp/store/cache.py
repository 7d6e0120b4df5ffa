"""The local cache: labels of the store packed into one memory-mapped file.

The first reader packs, every other one maps the same file: a second epoch, another process or a
restarted training asks the database for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fw_nnp.core.blocks import Block
from fw_nnp.core.errors import StoreError
from fw_nnp.core.packed import Packed, packed_name, write_packed

from .datasets import Datasets
from .shelf import batches


def packed_part(store: Datasets, dataset_id: str, part: str, directory: Path) -> Packed:
    """A part of a dataset version, from the cache in `directory` or put there first."""
    return packed(store, store.member_ids(dataset_id, part), directory)


def packed_query(store: Datasets, filter_: Mapping[str, Any], directory: Path) -> Packed:
    """The labels that match now."""
    ids = [document["_id"] for document in store.label_documents(filter_, fields=["_id"])]
    return packed(store, ids, directory)


def packed(store: Datasets, label_ids: Sequence[str], directory: Path) -> Packed:
    """The labels of these ids, in sorted order.

    Raises
    ------
    StoreError
        A label is not in the store.
    """
    path = directory / packed_name(label_ids)
    if path.exists():
        return Packed(path)
    sizes: dict[str, int] = {}
    texts: dict[str, dict[str, None]] = {"theories": {}, "trajectories": {}, "phases": {}}
    fields = {"theory": "theories", "trajectory": "trajectories", "phase": "phases"}
    for batch in batches(label_ids):
        found = store.label_documents({"_id": {"$in": batch}}, fields=["n_atoms", *fields])
        for document in found:
            sizes[document["_id"]] = document["n_atoms"]
            for field, name in fields.items():
                texts[name][document[field]] = None
    missing = set(label_ids) - set(sizes)
    if missing:
        raise StoreError(f"{len(missing)} labels are not in the store", place=min(missing))
    known = {name: list(values) for name, values in texts.items()}
    write_packed(path, sizes, _blocks(store, label_ids), known)
    return Packed(path)


def _blocks(store: Datasets, label_ids: Sequence[str]) -> Iterator[Block]:
    for batch in batches(label_ids):
        yield from store.blocks({"_id": {"$in": batch}})
