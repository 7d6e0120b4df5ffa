"""Is the store whole: ids recomputed from contents, references followed, orphans named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from fw_nnp.core.blocks import configuration_ids, label_id_of
from fw_nnp.core.errors import FwNnpError
from fw_nnp.core.records import LevelOfTheory
from fw_nnp.core.splits import PARTS

from .base import Documents
from .columns import Table, tables
from .datasets import dataset_id
from .schema import SCHEMA
from .store import Store

_GEOMETRY = ("cell", "positions", "numbers", "pbc", "schema")


@dataclass(frozen=True, kw_only=True)
class Health:
    """What `check` found.

    Attributes
    ----------
    counts
        Collection -> number of records looked at.
    problems
        One sentence each, beginning with collection and id.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def check(documents: Documents) -> Health:
    """Look at every record; nothing is changed, and memory holds ids only."""
    store, health = Store(documents), Health()
    theories = _theories(documents, health)
    configurations = _configurations(documents, health)
    labels = _labels(documents, health, configurations, theories)
    _questions(documents, health, labels, theories)
    datasets = _datasets(store, documents, health, labels)
    _models(store, documents, health, datasets)
    return health


def _theories(documents: Documents, health: Health) -> set[str]:
    known = set()
    for d in documents.find("theories", {}):
        known.add(d["_id"])
        health.counts["theories"] += 1
        if LevelOfTheory(code=d["code"], settings=d["settings"]).id != d["_id"]:
            health.problems.append(f"theories {d['_id']}: code or settings were changed")
    return known


def _configurations(documents: Documents, health: Health) -> set[str]:
    known: set[str] = set()
    for table in _tables(documents, "configurations", _GEOMETRY, health):
        ids = table.texts("_id")
        known.update(ids)
        for id_, right in zip(ids, _hashed(table), strict=True):
            if id_ != right:
                health.problems.append(f"configurations {id_}: the geometry is that of {right}")
    return known


def _labels(
    documents: Documents, health: Health, configurations: set[str], theories: set[str]
) -> set[str]:
    known: set[str] = set()
    fields = (*_GEOMETRY, "configuration", "theory", "energy", "forces", "stress")
    for table in _tables(documents, "labels", fields, health):
        ids, asked, theory = (table.texts(n) for n in ("_id", "configuration", "theory"))
        known.update(ids)
        finite = _finite(table)
        for id_, c, t, geometry, fine in zip(
            ids, asked, theory, _hashed(table), finite, strict=True
        ):
            for wrong, why in (
                (id_ != label_id_of(c, t), "the id is that of another question"),
                (geometry != c, f"the geometry is that of {geometry}"),
                (c not in configurations, f"{c} is not in configurations"),
                (t not in theories, f"{t} is not in theories"),
                (not fine, "a number is not finite"),
            ):
                if wrong:
                    health.problems.append(f"labels {id_}: {why}")
    return known


def _finite(table: Table) -> list[bool]:
    fine = np.isfinite(table.numbers("energy"))
    n = table.binary("numbers").shape[1]
    for name, shape in (("forces", (n, 3)), ("stress", (3, 3))):
        if f"{name}.data" in table:
            fine &= np.isfinite(table.array(name, *shape)).all(axis=(1, 2))
    return [bool(value) for value in fine]


def _hashed(table: Table) -> list[str]:
    numbers = table.binary("numbers")
    return configuration_ids(
        table.array("cell", 3, 3),
        table.array("positions", numbers.shape[1], 3),
        numbers,
        np.stack([table.numbers(f"pbc.{axis}") for axis in range(3)], axis=1),
    )


def _tables(
    documents: Documents, collection: str, fields: tuple[str, ...], health: Health
) -> Iterator[Table]:
    for batch in documents.find_raw(collection, {}, fields=fields):
        for table in tables(batch):
            health.counts[collection] += len(table)
            old = int((table.numbers("schema") < SCHEMA).sum())
            if old:
                health.problems.append(
                    f"{collection} {table.texts('_id')[0]}: {old} records are of an older schema; "
                    "run fw-nnp store migrate"
                )
                continue
            yield table


def _questions(documents: Documents, health: Health, labels: set[str], theories: set[str]) -> None:
    for d in documents.find("quarantine", {}, fields=["configuration", "theory"]):
        health.counts["quarantine"] += 1
        if d["_id"] != label_id_of(d["configuration"], d["theory"]):
            health.problems.append(f"quarantine {d['_id']}: the id is that of another question")
        if d["theory"] not in theories:
            health.problems.append(f"quarantine {d['_id']}: {d['theory']} is not in theories")
    for d in documents.find("conflicts", {}, fields=["label"]):
        health.counts["conflicts"] += 1
        if d["label"] not in labels:
            health.problems.append(f"conflicts {d['_id']}: {d['label']} is not in labels")


def _datasets(store: Store, documents: Documents, health: Health, labels: set[str]) -> set[str]:
    known = set()
    for d in documents.find("datasets", {}):
        known.add(d["_id"])
        health.counts["datasets"] += 1
        lists = {part: store.member_ids(d["_id"], part) for part in PARTS}
        if dataset_id(d["theories"], lists) != d["_id"]:
            health.problems.append(f"datasets {d['_id']}: {d['name']} has other members")
        missing = [i for ids in lists.values() for i in ids if i not in labels]
        if missing:
            health.problems.append(
                f"datasets {d['_id']}: {len(missing)} labels of {d['name']} are missing"
            )
    for d in documents.find("members", {}, fields=["dataset"]):
        health.counts["members"] += 1
        if d["dataset"] not in known:
            health.problems.append(
                f"members {d['_id']}: orphan, no such dataset: harmless if a `dataset create` was "
                "killed, else a record of `datasets` is lost; a backup has it"
            )
    return known


def _models(store: Store, documents: Documents, health: Health, datasets: set[str]) -> None:
    models = list(documents.find("models", {}, fields=["blob", "source", "parent"]))
    ids = {d["_id"] for d in models}
    blobs = set(documents.blobs())
    for d in models:
        health.counts["models"] += 1
        if d["blob"] not in blobs:
            health.problems.append(f"models {d['_id']}: its file {d['blob']} is gone")
        if d.get("source", "") not in {"", *datasets}:
            health.problems.append(f"models {d['_id']}: its dataset {d['source']} is gone")
        if d.get("parent", "") not in {"", *ids}:
            health.problems.append(f"models {d['_id']}: its parent {d['parent']} is gone")
    for blob in sorted(blobs):
        health.counts["blobs"] += 1
        try:
            store.blob(blob)
        except FwNnpError as error:
            health.problems.append(f"blobs {blob}: {error.message}")
    for orphan in sorted(blobs - {d["blob"] for d in models}):
        health.problems.append(
            f"blobs {orphan}: orphan, no model has it: harmless if a training was killed as it "
            "ended, else a record of `models` is lost; a backup has it"
        )
