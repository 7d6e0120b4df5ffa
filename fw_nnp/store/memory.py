"""The in-memory twin of the MongoDB documents: for tests and dry runs."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fw_nnp.core.errors import NotFound

from .base import Document
from .query import matches


class MemoryDocuments:
    """Dictionaries that behave as the collections do."""

    def __init__(self) -> None:
        self._collections: defaultdict[str, dict[str, Document]] = defaultdict(dict)
        self._blobs: dict[str, bytes] = {}

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
            if document["_id"] not in kept:
                fixed = {key: document[key] for key in document if key not in (join or {})}
                kept[document["_id"]] = copy.deepcopy(fixed)
                new.append(document["_id"])
            for key, value in (join or {}).items():
                values = kept[document["_id"]].setdefault(key, [])
                if value not in values:
                    values.append(value)
        return new

    def find(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        sort: str | None = None,
    ) -> Iterator[Document]:
        found = [d for d in self._collections[collection].values() if matches(filter_, d)]
        if sort:
            found.sort(key=lambda document: document[sort])
        for document in found:
            keep = document.keys() if fields is None else {"_id", *fields}
            yield copy.deepcopy({key: document[key] for key in document if key in keep})

    def count(self, collection: str, filter_: Mapping[str, Any]) -> int:
        return sum(matches(filter_, d) for d in self._collections[collection].values())

    def replace(self, collection: str, document: Document) -> None:
        self._collections[collection][document["_id"]] = copy.deepcopy(document)

    def put_blob(self, name: str, data: bytes) -> None:
        self._blobs[name] = data

    def get_blob(self, name: str) -> bytes:
        if name not in self._blobs:
            raise NotFound("no such blob", place=name)
        return self._blobs[name]

    def ensure_indexes(self) -> None:
        """Nothing to do: a memory twin scans."""
