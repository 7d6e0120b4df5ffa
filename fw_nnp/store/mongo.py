"""The documents in MongoDB: upserts only, journalled and acknowledged by the majority."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import gridfs
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import BulkWriteError, CollectionInvalid, OperationFailure
from pymongo.write_concern import WriteConcern

from fw_nnp.core.errors import NotFound, StoreError

from .base import Document
from .schema import COLLECTIONS, json_schema

SLICE = 1_000  # documents per write or read: large enough for speed, small enough for memory
_DUPLICATE, _INVALID, _EXISTS, _NO_HINT = 11000, 121, 48, 2


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

    def prepare(self) -> None:
        there = set(self._database.list_collection_names())
        for name, collection in COLLECTIONS.items():
            # moderate: records of an older schema may still be joined by campaigns
            rules = {"validator": {"$jsonSchema": json_schema(name)}, "validationLevel": "moderate"}
            if name in there or not self._create(name, rules):
                self._database.command({"collMod": name, **rules})
            keys = [(fields, False) for fields in collection.indexes]
            keys += [(fields, True) for fields in collection.unique]
            indexes = [
                IndexModel([(field, ASCENDING) for field in fields], unique=unique)
                for fields, unique in keys
            ]
            if indexes:
                self._database[name].create_indexes(indexes)

    def _create(self, name: str, rules: Mapping[str, Any]) -> bool:
        """Make a collection; False where another process was faster."""
        try:
            self._database.create_collection(name, **rules)
        except OperationFailure as error:
            if error.code != _EXISTS:
                raise
            return False
        except CollectionInvalid:
            return False
        return True

    def add(
        self,
        collection: str,
        documents: Iterable[Document],
        *,
        join: Mapping[str, str] | None = None,
    ) -> list[str]:
        new: list[str] = []
        lists = {key: [value] for key, value in (join or {}).items()}
        stream = iter(documents)
        while batch := [{**document, **lists} for document in islice(stream, SLICE)]:
            ids = [document["_id"] for document in batch]
            new += self._insert(collection, ids, batch, join or {})
        return new

    def add_rows(
        self,
        collection: str,
        ids: Sequence[str],
        rows: Sequence[bytes],
        *,
        join: Mapping[str, str],
    ) -> list[str]:
        new: list[str] = []
        for start in range(0, len(ids), SLICE):
            batch = [RawBSONDocument(row) for row in rows[start : start + SLICE]]
            new += self._insert(collection, ids[start : start + SLICE], batch, join)
        return new

    def _insert(
        self,
        collection: str,
        ids: Sequence[str],
        batch: Sequence[Document] | Sequence[RawBSONDocument],
        join: Mapping[str, str],
    ) -> list[str]:
        """Insert what is new and join what was there; returns the ids that were new."""
        # Insert and see what was there: nearly always everything is new, or nothing.
        known = self._try_insert(collection, ids, batch)
        if known and join:
            self.join(collection, sorted(known), join)
        return [id_ for id_ in ids if id_ not in known]

    def _try_insert(
        self,
        collection: str,
        ids: Sequence[str],
        batch: Sequence[Document] | Sequence[RawBSONDocument],
    ) -> set[str]:
        """Insert what is new; returns the ids that were there."""
        try:
            self._database[collection].insert_many(batch, ordered=False)
        except BulkWriteError as error:
            errors = error.details["writeErrors"]
            for one in errors:
                if one["code"] != _DUPLICATE or one.get("keyPattern") != {"_id": 1}:
                    raise _refused(collection, ids[one["index"]], one) from None
            return {ids[one["index"]] for one in errors}
        return set()

    def join(self, collection: str, ids: Sequence[str], join: Mapping[str, str]) -> None:
        for start in range(0, len(ids), SLICE):
            chosen = {"_id": {"$in": list(ids[start : start + SLICE])}}
            self._database[collection].update_many(chosen, {"$addToSet": dict(join)})

    def find(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        sort: str | None = None,
    ) -> Iterator[Document]:
        cursor = self._database[collection].find(dict(filter_), _projection(fields))
        yield from cursor.sort(sort, ASCENDING) if sort else cursor

    def find_raw(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
    ) -> Iterator[bytes]:
        cursor = self._database[collection].find_raw_batches(
            dict(filter_), _projection(fields), batch_size=SLICE
        )
        batches: Iterator[Any] = iter(cursor)  # of bytes, whatever pymongo's types say
        with cursor, ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
            # the server looks for the next batch while this one is worked on
            following = reader.submit(next, batches, None)
            while (batch := following.result()) is not None:
                following = reader.submit(next, batches, None)
                yield batch

    def add_raw(self, collection: str, data: bytes) -> int:
        documents = [RawBSONDocument(one) for one in _documents_in(data)]
        if documents:
            self._database[collection].insert_many(
                documents, ordered=False, bypass_document_validation=True
            )
        return len(documents)

    def count(
        self, collection: str, filter_: Mapping[str, Any], *, index: Sequence[str] = ()
    ) -> int:
        # The command, unlike count_documents, counts index keys without building documents.
        command: dict[str, Any] = {"count": collection, "query": dict(filter_)}
        if index:
            command["hint"] = dict.fromkeys(index, ASCENDING)
        try:
            answer = self._database.command(command)
        except OperationFailure as error:
            if not index or error.code != _NO_HINT:
                raise
            return self.count(collection, filter_)  # not yet prepared by this version
        return int(answer["n"])

    def distinct(self, collection: str, field: str) -> list[Any]:
        return list(self._database[collection].distinct(field))

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
        except gridfs.errors.CorruptGridFile as error:
            raise StoreError(f"the blob is damaged: {error}", place=name) from error
        return data

    def blobs(self) -> list[str]:
        return list(self._files.list())


def _projection(fields: Sequence[str] | None) -> dict[str, int] | None:
    return None if fields is None else dict.fromkeys(fields, 1)


def _documents_in(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "little")
        yield data[position : position + size]
        position += size


def _refused(collection: str, id_: str, error: Mapping[str, Any]) -> StoreError:
    if error["code"] == _INVALID:
        rules = error.get("errInfo", {}).get("details", {}).get("schemaRulesNotSatisfied", "")
        return StoreError(
            f"the document does not fit the schema of '{collection}': {rules}",
            place=id_,
            remedy="docs/reference/store.md lists the fields and their types",
        )
    return StoreError(f"MongoDB refuses the document: {error['errmsg']}", place=id_)
