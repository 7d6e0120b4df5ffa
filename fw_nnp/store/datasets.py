"""Datasets: immutable versions of label ids and their split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fw_nnp.core.errors import SpecError, StoreError
from fw_nnp.core.hashing import content_id
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.splits import PARTS, assign_parts

from .base import Document
from .documents import now
from .labels import Labels
from .schema import SCHEMA
from .shelf import batches

SLICE = 10_000  # label ids in one document of `members`


class Datasets(Labels):
    """Dataset versions: frozen, listed, compared, carried on."""

    # ------------------------------------------------------------ freezing

    def freeze_dataset(
        self,
        series: str,
        *,
        theories: Sequence[str],
        split: Mapping[str, Sequence[str]],
        recipe: Mapping[str, Any] | None = None,
    ) -> str:
        """Freeze label ids and their split as a version of `series`; returns its id ``set-...``.

        The same ids and split are the same version, whoever asks; anything else is the next
        one. The members are written first: killed in between, the same call completes it.
        """
        lists = {part: sorted(split.get(part, ())) for part in PARTS}
        id_ = dataset_id(theories, lists)
        members = (
            {
                "_id": f"{id_}/{part}/{start // SLICE:05d}",
                "schema": SCHEMA,
                "dataset": id_,
                "part": part,
                "labels": ids[start : start + SLICE],
            }
            for part, ids in lists.items()
            for start in range(0, len(ids), SLICE)
        )
        self._documents.add("members", members)
        while not self._documents.count("datasets", {"_id": id_}):
            self._add_version(id_, series, theories, lists, recipe or {})
        return id_

    def _add_version(
        self,
        id_: str,
        series: str,
        theories: Sequence[str],
        lists: Mapping[str, Sequence[str]],
        recipe: Mapping[str, Any],
    ) -> None:
        """Write the record as the next version; another writer may be faster: then look again."""
        before = self.versions(series)
        version = 1 + max((d["version"] for d in before), default=0)
        document: Document = {
            "_id": id_,
            "schema": SCHEMA,
            "series": series,
            "version": version,
            "name": f"{series}-v{version}",
            "theories": sorted(theories),
            "counts": {part: len(ids) for part, ids in lists.items()},
            "recipe": dict(recipe),
            "created": now(),
        }
        if before:
            document["parent"] = before[-1]["_id"]
        try:
            self._documents.add("datasets", [document])
        except StoreError:
            if not any(d["version"] == version for d in self.versions(series)):
                raise

    def create_dataset(
        self,
        series: str,
        filter_: Mapping[str, Any],
        *,
        query: str,
        split_by: Sequence[str],
        fractions: Sequence[float],
        seed: int,
        mixed: bool = False,
    ) -> str:
        """Freeze the labels that match; returns the id of the version.

        Labels and groups of the version before stay in their part, so that a later version
        never trains on what an earlier one was tested on.

        Parameters
        ----------
        query
            The question in the user's words, for the record.
        mixed
            Whether more than one level of theory is wanted.

        Raises
        ------
        SpecError
            Nothing matches, or two levels of theory do.
        """
        found = sorted(
            self.label_documents(
                filter_, fields=["theory", "trajectory", "configuration", "phase"]
            ),
            key=lambda document: str(document["_id"]),
        )
        theories = sorted({document["theory"] for document in found})
        if not found:
            raise SpecError("no label matches", place=f"dataset {series}", remedy="widen --query")
        if len(theories) > 1 and not mixed:
            raise SpecError(
                f"the labels are of {len(theories)} levels of theory: {', '.join(theories)}",
                place=f"dataset {series}",
                remedy="choose one with theory=... in the query, or ask for --mixed",
            )
        groups = self._groups(found, split_by)
        fixed = self._earlier_parts(series, found, groups)
        parts = _deal(found, groups, fixed, fractions, seed)
        return self.freeze_dataset(
            series,
            theories=theories,
            split=parts,
            recipe={
                "query": query,
                "split_by": list(split_by),
                "fractions": list(fractions),
                "seed": seed,
            },
        )

    def _groups(self, found: Sequence[Document], split_by: Sequence[str]) -> list[str]:
        """The group of each label; groups are never cut."""
        by_trajectory = "trajectory" in split_by
        return [(d["trajectory"] if by_trajectory else "") or d["configuration"] for d in found]

    def _earlier_parts(
        self, series: str, found: Sequence[Document], groups: Sequence[str]
    ) -> dict[str, str]:
        """Group -> part, for groups of which the version before has a label."""
        before = self.versions(series)
        if not before:
            return {}
        known = {
            label: part for part in PARTS for label in self.member_ids(before[-1]["_id"], part)
        }
        return {
            group: known[d["_id"]]
            for d, group in zip(found, groups, strict=True)
            if d["_id"] in known
        }

    # ------------------------------------------------------------ looking

    def versions(self, series: str) -> list[Document]:
        """The versions of a series, oldest first."""
        return list(self._documents.find("datasets", {"series": series}, sort="version"))

    def datasets(self) -> list[Document]:
        """All versions of all series, oldest first."""
        return list(self._documents.find("datasets", {}, sort="created"))

    def dataset(self, key: str) -> Document:
        """A dataset version by id, by name ``SERIES-vN``, or the newest of a series."""
        keys = {"_id": key, "name": key, "series": key}
        return self._newest("datasets", keys, "version", "dataset")

    def member_ids(self, dataset_id: str, part: str) -> list[str]:
        """Sorted label ids of a part."""
        slices = self._documents.find("members", {"dataset": dataset_id, "part": part}, sort="_id")
        return [id_ for piece in slices for id_ in piece["labels"]]

    def dataset_part(self, dataset_id: str, part: str) -> list[LabelledConfiguration]:
        """The labelled configurations of ``train``, ``validation`` or ``test``."""
        ids = self.member_ids(dataset_id, part)
        items = [item for batch in batches(ids) for item in self.labelled({"_id": {"$in": batch}})]
        if len(items) != len(ids):
            raise StoreError(
                f"{len(ids) - len(items)} labels of {part} are missing", place=dataset_id
            )
        return items

    def diff(self, first: str, second: str) -> dict[str, Any]:
        """What the second version has that the first has not, and what changed its part."""
        old, new = (self._part_of(self.dataset(key)["_id"]) for key in (first, second))
        return {
            "added": {
                part: sorted(i for i, p in new.items() if p == part and i not in old)
                for part in PARTS
            },
            "removed": {
                part: sorted(i for i, p in old.items() if p == part and i not in new)
                for part in PARTS
            },
            "moved": {
                i: [old[i], new[i]] for i in sorted(old.keys() & new.keys()) if old[i] != new[i]
            },
            "kept": len([i for i in old.keys() & new.keys() if old[i] == new[i]]),
        }

    def _part_of(self, dataset_id: str) -> dict[str, str]:
        return {id_: part for part in PARTS for id_ in self.member_ids(dataset_id, part)}

    def _members(self, dataset_id: str, fields: Sequence[str]) -> Iterator[tuple[str, Document]]:
        """(part, fields of the label) of every member."""
        for part in PARTS:
            for batch in batches(self.member_ids(dataset_id, part)):
                for document in self._documents.find(
                    "labels", {"_id": {"$in": batch}}, fields=fields
                ):
                    yield part, document


def dataset_id(theories: Sequence[str], lists: Mapping[str, Sequence[str]]) -> str:
    """``set-...`` over the levels of theory, the sorted label ids and the split."""
    theory = theories[0] if len(theories) == 1 else sorted(theories)
    return content_id("set", {"theory": theory, "split": dict(lists)})


def _deal(
    found: Sequence[Document],
    groups: Sequence[str],
    fixed: Mapping[str, str],
    fractions: Sequence[float],
    seed: int,
) -> dict[str, list[str]]:
    """Label ids per part: groups with a part keep it, the others are dealt."""
    fresh = [i for i, group in enumerate(groups) if group not in fixed]
    part_of = dict(fixed)
    if fresh:
        dealt = _dealt(found, groups, fresh, fractions, seed, late=bool(fixed))
        part_of |= {groups[i]: part for i, part in zip(fresh, dealt, strict=True)}
    lists: dict[str, list[str]] = {part: [] for part in PARTS}
    for document, group in zip(found, groups, strict=True):
        lists[part_of[group]].append(document["_id"])
    return lists


def _dealt(
    found: Sequence[Document],
    groups: Sequence[str],
    fresh: Sequence[int],
    fractions: Sequence[float],
    seed: int,
    *,
    late: bool,
) -> list[str]:
    """Part of each fresh label."""
    mine = [groups[i] for i in fresh]
    if late and len(set(mine)) < sum(fraction > 0 for fraction in fractions):
        return ["train"] * len(fresh)  # too few new groups to deal out: they only teach
    phases = [found[i]["phase"] for i in fresh]
    return [PARTS[part] for part in assign_parts(mine, phases, fractions, seed)]
