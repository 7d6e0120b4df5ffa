"""The in-memory twin of the MongoDB documents: for tests and dry runs."""

from __future__ import annotations

import copy
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import bson

from fw_nnp.core.errors import NotFound, StoreError

from .base import Document
from .query import matches
from .rows import decoded
from .schema import COLLECTIONS


class MemoryDocuments:
    """Dictionaries that behave as the collections do, under several threads too."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._collections: defaultdict[str, dict[str, Document]] = defaultdict(dict)
        self._blobs: dict[str, bytes] = {}

    def prepare(self) -> None:
        """Nothing to do: a memory twin scans."""

    def add(
        self,
        collection: str,
        documents: Iterable[Document],
        *,
        join: Mapping[str, str] | None = None,
    ) -> list[str]:
        kept = self._collections[collection]
        new = []
        for document in documents:
            with self._lock:
                if document["_id"] not in kept:
                    _validate(collection, {**document, **(join or {})}, kept)
                    kept[document["_id"]] = copy.deepcopy(document)
                    new.append(document["_id"])
                self.join(collection, [document["_id"]], join or {})
        return new

    def add_rows(
        self,
        collection: str,
        ids: Sequence[str],
        rows: Sequence[bytes],
        *,
        join: Mapping[str, str],
    ) -> list[str]:
        return self.add(collection, decoded(b"".join(rows)), join=join)

    def join(self, collection: str, ids: Sequence[str], join: Mapping[str, str]) -> None:
        kept = self._collections[collection]
        with self._lock:
            for document in (kept[id_] for id_ in ids if id_ in kept):
                for key, value in join.items():
                    values = document.setdefault(key, [])
                    if value not in values:
                        values.append(value)

    def find(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        sort: str | None = None,
    ) -> Iterator[Document]:
        found = [d for d in self._all(collection) if matches(filter_, d)]
        if sort:
            found.sort(key=lambda document: document[sort])
        for document in found:
            keep = document.keys() if fields is None else {"_id", *fields}
            yield copy.deepcopy({key: document[key] for key in document if key in keep})

    def find_raw(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
    ) -> Iterator[bytes]:
        for document in self.find(collection, filter_, fields=fields):
            yield bson.encode(document)

    def add_raw(self, collection: str, data: bytes) -> int:
        documents = decoded(data)
        for document in documents:
            self._collections[collection][document["_id"]] = document
        return len(documents)

    def count(
        self, collection: str, filter_: Mapping[str, Any], *, index: Sequence[str] = ()
    ) -> int:
        return sum(matches(filter_, d) for d in self._all(collection))

    def distinct(self, collection: str, field: str) -> list[Any]:
        values = (d.get(field) for d in self._all(collection))
        return sorted({value for value in values if value is not None})

    def replace(self, collection: str, document: Document) -> None:
        self._collections[collection][document["_id"]] = copy.deepcopy(document)

    def _all(self, collection: str) -> list[Document]:
        with self._lock:
            return list(self._collections[collection].values())

    def put_blob(self, name: str, data: bytes) -> None:
        self._blobs[name] = data

    def get_blob(self, name: str) -> bytes:
        if name not in self._blobs:
            raise NotFound("no such blob", place=name)
        return self._blobs[name]

    def blobs(self) -> list[str]:
        return sorted(self._blobs)


def _validate(collection: str, document: Document, kept: Mapping[str, Document]) -> None:
    """What the server would refuse: absent fields and broken unique indexes."""
    rules = COLLECTIONS[collection]
    absent = [f.name for f in rules.fields if f.needed and f.name not in document]
    if absent:
        raise StoreError(
            f"the document does not fit the schema of '{collection}': no {', '.join(absent)}",
            place=document["_id"],
            remedy="docs/reference/store.md lists the fields and their types",
        )
    for fields in rules.unique:
        wanted = [document[field] for field in fields]
        if any([other[field] for field in fields] == wanted for other in kept.values()):
            raise StoreError("MongoDB refuses the document: not unique", place=document["_id"])
