"""What the parts of the store share: the documents and how to look things up in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fw_nnp.core.errors import NotFound

from .base import Document, Documents

BATCH = 1_000


class Shelf:
    """A part of the store.

    Parameters
    ----------
    documents
        Where everything is kept: `MongoDocuments`, or its twin in memory.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    @property
    def documents(self) -> Documents:
        """Where everything is kept, for those who look after it."""
        return self._documents

    def _one(self, collection: str, id_: str) -> Document:
        for document in self._documents.find(collection, {"_id": id_}):
            return document
        raise NotFound(f"nothing of that name in '{collection}'", place=id_)

    def _newest(self, collection: str, keys: dict[str, Any], sort: str, what: str) -> Document:
        """The last by `sort` of the documents for which one of `keys` holds."""
        found: Document | None = None
        filter_ = {"$or": [{name: value} for name, value in keys.items()]}
        for document in self._documents.find(collection, filter_, sort=sort):
            found = document
        if found is None:
            raise NotFound(f"no such {what}", place=str(next(iter(keys.values()))))
        return found

    def _present(self, collection: str, ids: Sequence[str]) -> set[str]:
        present: set[str] = set()
        for batch in batches(ids):
            found = self._documents.find(collection, {"_id": {"$in": batch}}, fields=["_id"])
            present.update(document["_id"] for document in found)
        return present


def batches(ids: Sequence[str]) -> Iterator[list[str]]:
    """`ids` in lists that one query can take."""
    for start in range(0, len(ids), BATCH):
        yield list(ids[start : start + BATCH])
