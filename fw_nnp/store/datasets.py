"""Datasets: immutable versions of label ids and their split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fw_nnp.core.errors import SpecError, StoreError
from fw_nnp.core.hashing import content_id
from fw_nnp.core.near_duplicates import near_duplicate_groups
from fw_nnp.core.records import Configuration, LabelledConfiguration
from fw_nnp.core.splits import PARTS, assign_parts

from .base import Document
from .documents import now
from .labels import Labels
from .schema import SCHEMA
from .shelf import batches

RULES = ("trajectory", "near_duplicates", "random")
SLICE = 10_000  # label ids in one document of `members`


class Overtaken(StoreError):
    """Another writer made the version that this one should have been."""


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
        after: int | None = None,
    ) -> str:
        """Freeze label ids and their split as a version of `series`; returns its id ``set-...``.

        The same ids and split are the same version, whoever asks; anything else is the next
        one. The members are written first: killed in between, the same call completes it.

        Parameters
        ----------
        after
            Number of the version that it must follow, 0 for none; left out: any.

        Raises
        ------
        Overtaken
            Another writer made the version after that one.
        """
        lists = {part: sorted(split.get(part, ())) for part in PARTS}
        id_ = dataset_id(theories, lists)
        for twin in self._documents.find("datasets", {"_id": id_}):
            if twin["series"] != series:
                raise SpecError(
                    f"the same labels and split are frozen as {twin['name']}",
                    place=f"dataset {series}",
                    remedy=f"use {twin['name']}: a version is known by its content",
                )
        if not self._documents.count("datasets", {"_id": id_}):
            self._following(series, after)  # before the members: nothing is left then
        self._documents.add("members", member_documents(id_, lists))
        while not self._documents.count("datasets", {"_id": id_}):
            before = self._following(series, after)
            self._add_version(id_, series, theories, lists, recipe or {}, before)
        return id_

    def _following(self, series: str, after: int | None) -> list[Document]:
        """The versions before the next one."""
        before = self.versions(series)
        if after is not None and len(before) > after:
            raise Overtaken("another writer made the next version", place=f"dataset {series}")
        return before

    def _add_version(
        self,
        id_: str,
        series: str,
        theories: Sequence[str],
        lists: Mapping[str, Sequence[str]],
        recipe: Mapping[str, Any],
        before: Sequence[Document],
    ) -> None:
        """Write the record as the next version; another writer may be faster: then look again."""
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
        never trains on what an earlier one was tested on. Where another writer makes a version
        meanwhile, everything is looked at again: theirs is then the version before.

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
        unknown = sorted({*split_by} - {*RULES})
        if unknown or not split_by:
            raise SpecError(
                f"'{''.join(unknown[:1])}' is no rule for a split",
                place="--split",
                remedy=f"rules: {', '.join(RULES)}; several with commas",
            )
        recipe = {
            "query": query,
            "split_by": list(split_by),
            "fractions": list(fractions),
            "seed": seed,
        }
        while True:
            before = self.versions(series)  # first, so that the labels of the last are found
            found, theories = self._found(series, filter_, mixed=mixed)
            known = self._part_of(before[-1]["_id"]) if before else {}
            split = _deal(found, self._groups(found, split_by), known, fractions, seed)
            try:
                return self.freeze_dataset(
                    series, theories=theories, split=split, recipe=recipe, after=len(before)
                )
            except Overtaken:
                continue

    def _found(
        self, series: str, filter_: Mapping[str, Any], *, mixed: bool
    ) -> tuple[list[Document], list[str]]:
        """The labels that match, by their ids, and their levels of theory."""
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
        return found, theories

    def _groups(self, found: Sequence[Document], split_by: Sequence[str]) -> list[str]:
        """The group of each label; groups are never cut."""
        equal = [document["configuration"] for document in found]
        rules = [equal]
        if "trajectory" in split_by:
            rules.append([d["trajectory"] or d["configuration"] for d in found])
        if "near_duplicates" in split_by:
            group_of = dict(zip(equal, near_duplicate_groups(self._cells(equal)), strict=True))
            rules.append([group_of[id_] for id_ in equal])
        return linked(rules)

    def _cells(self, configuration_ids: Sequence[str]) -> list[Configuration]:
        return [frame.configuration for frame in self.frames_of(configuration_ids)]

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

    def uses(self, label_id: str) -> list[tuple[str, Document]]:
        """(part, record) of every dataset version that holds a label."""
        pieces = self._documents.find("members", {"labels": label_id}, fields=["dataset", "part"])
        found = [(str(d["part"]), self._one("datasets", d["dataset"])) for d in pieces]
        return sorted(found, key=lambda use: str(use[1]["name"]))

    def dataset_part(self, dataset_id: str, part: str) -> list[LabelledConfiguration]:
        """The labelled configurations of ``train``, ``validation`` or ``test``."""
        ids = self.member_ids(dataset_id, part)
        items = self.labelled_of(ids)
        if len(items) != len(ids):
            raise StoreError(
                f"{len(ids) - len(items)} labels of {part} are missing", place=dataset_id
            )
        return items

    def labelled_of(self, label_ids: Sequence[str]) -> list[LabelledConfiguration]:
        """The labels of these ids that are there, in slices of that order."""
        return [i for batch in batches(label_ids) for i in self.labels({"_id": {"$in": batch}})]

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

    def members(self, dataset_id: str, fields: Sequence[str]) -> Iterator[tuple[str, Document]]:
        """(part, fields of the label) of every member."""
        for part in PARTS:
            for batch in batches(self.member_ids(dataset_id, part)):
                for document in self._documents.find(
                    "labels", {"_id": {"$in": batch}}, fields=fields
                ):
                    yield part, document


def member_documents(id_: str, lists: Mapping[str, Sequence[str]]) -> Iterator[Document]:
    """Documents of ``members`` for sorted label ids per part."""
    for part, ids in lists.items():
        for start in range(0, len(ids), SLICE):
            yield {
                "_id": f"{id_}/{part}/{start // SLICE:05d}",
                "schema": SCHEMA,
                "dataset": id_,
                "part": part,
                "labels": list(ids[start : start + SLICE]),
            }


def dataset_id(theories: Sequence[str], lists: Mapping[str, Sequence[str]]) -> str:
    """``set-...`` over the levels of theory, the sorted label ids and the split."""
    theory = theories[0] if len(theories) == 1 else sorted(theories)
    return content_id("set", {"theory": theory, "split": dict(lists)})


def linked(rules: Sequence[Sequence[str]]) -> list[str]:
    """Groups in which items stay that any of `rules` (item -> group) keeps together.

    A group is called by the smallest name that the first rule gives to its members.
    """
    n = len(rules[0])
    links = []
    for rule in rules:
        first: dict[str, int] = {}
        links += [(i, first.setdefault(group, i)) for i, group in enumerate(rule)]
    rows, columns = np.array(links).T
    graph = coo_array((np.ones(len(links), dtype=bool), (rows, columns)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for number, name in zip(component.tolist(), rules[0], strict=True):
        names[number] = min(names.get(number, name), name)
    return [names[number] for number in component.tolist()]


def _deal(
    found: Sequence[Document],
    groups: Sequence[str],
    known: Mapping[str, str],
    fractions: Sequence[float],
    seed: int,
) -> dict[str, list[str]]:
    """Label ids per part: known labels stay, fresh ones follow their group or are dealt.

    A fresh label that links groups of different parts goes to the training set.
    """
    part_of: dict[str, str] = {}
    for document, group in zip(found, groups, strict=True):
        part = known.get(document["_id"])
        if part is not None and part_of.get(group, part) != part:
            part = "train"
        if part is not None:
            part_of[group] = part
    fresh = [i for i, group in enumerate(groups) if group not in part_of]
    if fresh:
        dealt = _dealt(found, groups, fresh, fractions, seed, late=bool(part_of))
        part_of |= {groups[i]: part for i, part in zip(fresh, dealt, strict=True)}
    lists: dict[str, list[str]] = {part: [] for part in PARTS}
    for document, group in zip(found, groups, strict=True):
        lists[known.get(document["_id"], part_of[group])].append(document["_id"])
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
