"""Older records to the present schema, one function per step; killed halfway, it goes on.

Schema 2: labels carry their geometry; atomic numbers are bytes; ``system`` beside ``elements``;
the label ids of a dataset are in ``members``, its name in ``series``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from fw_nnp.core.errors import StoreError

from .base import Document, Documents
from .datasets import member_documents
from .schema import SCHEMA
from .shelf import BATCH

ORDER = ("configurations", "labels", "conflicts", "quarantine", "datasets", "models")
_LAST = ("theories", "campaigns")  # old until all the others are new
_GEOMETRY = ("cell", "positions", "numbers", "pbc")


def outdated(documents: Documents) -> bool:
    """Whether there are records of an older schema; a look at one of each kind."""
    return any(
        next(documents.find(name, {"schema": {"$lt": SCHEMA}}), None) is not None for name in _LAST
    )


def migrate(documents: Documents) -> Counter[str]:
    """Bring every record to the present schema; returns how many were changed.

    Theories and campaigns come last: as long as one of them is old, there is work left.

    Raises
    ------
    StoreError
        Records of a schema that this version does not know.
    """
    for name in (*ORDER, *_LAST):
        for newer in documents.find(name, {"schema": {"$gt": SCHEMA}}):
            raise StoreError(
                f"a record of schema {newer['schema']}, this version knows {SCHEMA}",
                place=f"{name} {newer['_id']}",
                remedy="use a newer fw_nnp",
            )
    changed: Counter[str] = Counter()
    for name in (*ORDER, *_LAST):
        for batch in _old(documents, name):
            for document in _from_1(documents, name, batch):
                documents.replace(name, {**document, "schema": SCHEMA})
                changed[name] += 1
    documents.prepare()
    return changed


def _old(documents: Documents, name: str) -> Iterator[list[Document]]:
    found = documents.find(name, {"schema": {"$lt": SCHEMA}})
    while batch := list(islice(found, BATCH)):
        yield batch


def _from_1(documents: Documents, name: str, batch: list[Document]) -> list[Document]:
    """Documents of schema 1 as documents of schema 2."""
    if name == "configurations":
        return [_configuration(document) for document in batch]
    if name in ("labels", "conflicts"):
        return _labels(documents, batch)
    if name == "datasets":
        return [_dataset(documents, document) for document in batch]
    if name == "models":
        return [{k: v for k, v in d.items() if v is not None} for d in batch]
    return batch


def _configuration(document: Document) -> Document:
    numbers = document["numbers"]
    return {
        **document,
        "system": "-".join(document["elements"]),
        "numbers": numbers if isinstance(numbers, bytes) else bytes(numbers),
    }


def _labels(documents: Documents, batch: list[Document]) -> list[Document]:
    ids = sorted({document["configuration"] for document in batch})
    found = documents.find("configurations", {"_id": {"$in": ids}}, fields=_GEOMETRY)
    cells = {document["_id"]: document for document in found}
    missing = [i for i in ids if i not in cells]
    if missing:
        raise StoreError("a label without its configuration", place=missing[0])
    return [
        {
            **document,
            "system": "-".join(document["elements"]),
            **{name: cells[document["configuration"]][name] for name in _GEOMETRY},
        }
        for document in batch
    ]


def _dataset(documents: Documents, document: Document) -> Document:
    """The split goes to `members`, in slices."""
    new = {k: v for k, v in document.items() if k not in ("split", "theory", "campaign")}
    documents.add("members", member_documents(document["_id"], document["split"]))
    return {
        **new,
        "series": document["campaign"],
        "theories": [document["theory"]],
        "recipe": {},
    }
