"""Documents: the few operations that the store needs of a database.

`MongoDocuments` is the real one; `MemoryDocuments` is its twin for tests and dry runs, and
passes the same test battery.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

Document = dict[str, Any]


class Documents(Protocol):
    """A document database, as little of it as the store uses.

    Filters are MongoDB's; `documents` carry their own ``_id``.
    """

    def prepare(self) -> None:
        """Make collections, validators and indexes of `schema`; twice changes nothing."""

    def add(
        self,
        collection: str,
        documents: Iterable[Document],
        *,
        join: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Insert those whose ``_id`` is new; leave the others as they are.

        Parameters
        ----------
        join
            Field -> value: the value is added to that list field of every document, new or
            old (the campaigns that share a label, for example).

        Returns
        -------
        list of str
            The ids that were new.

        Raises
        ------
        StoreError
            A document does not pass the validator, or breaks a unique index.
        """

    def add_rows(
        self,
        collection: str,
        ids: Sequence[str],
        rows: Sequence[bytes],
        *,
        join: Mapping[str, str],
    ) -> list[str]:
        """As `add`, of documents in BSON whose list fields hold the values of `join` already."""

    def join(self, collection: str, ids: Sequence[str], join: Mapping[str, str]) -> None:
        """Add values to list fields of the documents `ids`; those that are absent stay so."""

    def find(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        sort: str | None = None,
    ) -> Iterator[Document]:
        """Stream the documents that match, by ascending `sort` if given."""

    def find_raw(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
    ) -> Iterator[bytes]:
        """Stream the documents that match as BSON, many in each piece, one after the other."""

    def add_raw(self, collection: str, data: bytes) -> int:
        """Insert BSON documents as they are, past the validators; returns their number."""

    def count(
        self, collection: str, filter_: Mapping[str, Any], *, index: Sequence[str] = ()
    ) -> int:
        """Number of documents that match.

        Parameters
        ----------
        index
            Fields of the index to count by; left out: as the database likes it.
        """

    def distinct(self, collection: str, field: str) -> list[Any]:
        """The values of a field that is indexed, or of a small collection."""

    def replace(self, collection: str, document: Document) -> None:
        """Write the whole document, new or not."""

    def put_blob(self, name: str, data: bytes) -> None:
        """Keep `data` under its content id `name`; twice changes nothing."""

    def get_blob(self, name: str) -> bytes:
        """The bytes under `name`.

        Raises
        ------
        NotFound
        """

    def blobs(self) -> list[str]:
        """The names of all blobs."""
