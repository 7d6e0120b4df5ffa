"""The documents in MongoDB: upserts only, journalled and acknowledged by the majority."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import gridfs
from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from fw_nnp.core.errors import NotFound

from .base import INDEXES, Document

SLICE = 500  # documents per bulk write: large enough for speed, small enough for memory


class MongoDocuments:
    """Collections of one MongoDB database, beside FireWorks' own.

    Parameters
    ----------
    database
        As ``LaunchPad.db``; the write concern is set here.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._database = database.with_options(write_concern=WriteConcern(w="majority", j=True))
        self._files = gridfs.GridFS(self._database, collection="blobs")

    def add(
        self,
        collection: str,
        documents: Iterable[Document],
        *,
        join: Mapping[str, str] | None = None,
    ) -> list[str]:
        new: list[str] = []
        stream = iter(documents)
        while batch := list(islice(stream, SLICE)):
            updates = [_upsert(document, join or {}) for document in batch]
            result = self._database[collection].bulk_write(updates, ordered=False)
            new += [str(_id) for _id in (result.upserted_ids or {}).values()]
        return new

    def find(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        sort: str | None = None,
    ) -> Iterator[Document]:
        projection = None if fields is None else dict.fromkeys(fields, 1)
        cursor = self._database[collection].find(dict(filter_), projection)
        yield from cursor.sort(sort, ASCENDING) if sort else cursor

    def count(self, collection: str, filter_: Mapping[str, Any]) -> int:
        return self._database[collection].count_documents(dict(filter_))

    def replace(self, collection: str, document: Document) -> None:
        self._database[collection].replace_one({"_id": document["_id"]}, document, upsert=True)

    def put_blob(self, name: str, data: bytes) -> None:
        # By file name, not by _id: a writer killed halfway leaves orphan chunks, no clash.
        if not self._files.exists(filename=name):
            self._files.put(data, filename=name)

    def get_blob(self, name: str) -> bytes:
        try:
            data: bytes = self._files.get_last_version(name).read()
        except gridfs.errors.NoFile:
            raise NotFound("no such blob", place=name) from None
        return data

    def ensure_indexes(self) -> None:
        for collection, indexes in INDEXES.items():
            for fields in indexes:
                self._database[collection].create_index([(field, ASCENDING) for field in fields])


def _upsert(document: Document, join: Mapping[str, str]) -> UpdateOne:
    fixed = {key: value for key, value in document.items() if key not in join}
    update: dict[str, Any] = {"$setOnInsert": fixed}
    if join:
        update["$addToSet"] = dict(join)
    return UpdateOne({"_id": document["_id"]}, update, upsert=True)
