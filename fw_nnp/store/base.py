"""Documents: the five operations that the store needs of a database.

`MongoDocuments` is the real one; `MemoryDocuments` is its twin for tests and dry runs, and
passes the same test battery.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

Document = dict[str, Any]

#: Collections beside FireWorks' own, and the fields that queries run over. At most one list
#: field (campaign, purpose, elements) in each: MongoDB cannot index two together.
INDEXES: Mapping[str, Sequence[Sequence[str]]] = {
    "campaigns": (),
    "theories": (),
    "configurations": (["campaign", "sampler"], ["campaign", "phase"], ["trajectory"]),
    "labels": (
        ["campaign", "theory"],
        ["purpose", "theory"],
        ["configuration", "theory"],
        ["theory", "phase"],
        ["elements", "phase"],
        ["elements", "max_force"],
        ["max_force"],
        ["pressure"],
        ["energy_per_atom"],
        ["volume_per_atom"],
        ["trajectory"],
    ),
    "conflicts": (["label"],),
    "quarantine": (["campaign", "error_class"], ["configuration"]),
    "chunks": (["campaign", "number"],),
    "steps": (["campaign", "created"],),
    "progress": (["campaign"],),
    "datasets": (["campaign", "version"],),
    "models": (["campaign", "stage"],),
    "evaluations": (["campaign"],),
}


class Documents(Protocol):
    """A document database, as little of it as the store uses.

    Filters are MongoDB's; `documents` carry their own ``_id``.
    """

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
        """

    def find(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        sort: str | None = None,
    ) -> Iterator[Document]:
        """Stream the documents that match, by ascending `sort` if given."""

    def count(self, collection: str, filter_: Mapping[str, Any]) -> int:
        """Number of documents that match."""

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

    def ensure_indexes(self) -> None:
        """Make the indexes of :data:`INDEXES`; twice changes nothing."""
