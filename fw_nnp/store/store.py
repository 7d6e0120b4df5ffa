"""The dataset store: records in, records out, twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from fw_nnp.core.errors import LabelConflict, NotFound, SpecError, StoreError
from fw_nnp.core.hashing import content_id, digest
from fw_nnp.core.records import (
    SCHEMA,
    Frame,
    Label,
    LabelledConfiguration,
    LevelOfTheory,
    Quarantine,
    label_id,
)

from .base import Document, Documents
from .documents import (
    frame_document,
    frame_of,
    label_document,
    label_of,
    now,
    quarantine_document,
    theory_document,
)

#: Two answers to one question that differ by less are the same answer.
ENERGY_TOLERANCE = 1e-4  # eV/atom
FORCE_TOLERANCE = 5e-3  # eV/Å
BATCH = 500


class Store:
    """Configurations, labels, quarantine, datasets, models and evaluations of campaigns.

    Parameters
    ----------
    documents
        Where they are kept: `MongoDocuments`, or its twin in memory.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def ensure_indexes(self) -> None:
        """Make the indexes; twice changes nothing."""
        self._documents.ensure_indexes()

    # ------------------------------------------------------------ campaigns

    def open_campaign(self, name: str, spec: Mapping[str, Any], base: str) -> None:
        """Register a campaign.

        Raises
        ------
        SpecError
            A campaign of that name has other settings.
        """
        document = {
            "_id": name,
            "schema": SCHEMA,
            "spec": dict(spec),
            "base": base,
            "created": now(),
        }
        if self._documents.add("campaigns", [document]):
            return
        old = self.campaign(name)["spec"]
        if content_id("spc", old) != content_id("spc", dict(spec)):
            changed = sorted(k for k in {*old, *spec} if old.get(k) != spec.get(k))
            raise SpecError(
                f"campaign '{name}' exists with other settings ({', '.join(changed)})",
                place=name,
                remedy="give the changed campaign a name of its own",
            )

    def campaign(self, name: str) -> Document:
        """``{"_id", "spec", "base", "created"}`` of a campaign."""
        return self._one("campaigns", name)

    def campaigns(self) -> list[str]:
        """Names of all campaigns, oldest first."""
        return [d["_id"] for d in self._documents.find("campaigns", {}, sort="created")]

    def is_planned(self, name: str) -> bool:
        """Whether a campaign's planner has run."""
        return self._documents.count("steps", {"_id": f"{name}/plan"}) > 0

    # ------------------------------------------------------------ configurations

    def add_frames(self, frames: Iterable[Frame], *, campaign: str) -> int:
        """Keep frames; returns how many configurations were new."""
        documents = (frame_document(frame) for frame in frames)
        return len(self._documents.add("configurations", documents, join={"campaign": campaign}))

    def frames(self, filter_: Mapping[str, Any]) -> Iterator[Frame]:
        """Stream frames, in the order of their ids."""
        for document in self._documents.find("configurations", filter_, sort="_id"):
            yield frame_of(document)

    def frames_of(self, configuration_ids: Sequence[str]) -> list[Frame]:
        """The frames of these configurations, in the same order.

        Raises
        ------
        NotFound
        """
        found: dict[str, Frame] = {}
        for batch in _batches(configuration_ids):
            for document in self._documents.find("configurations", {"_id": {"$in": batch}}):
                found[document["_id"]] = frame_of(document)
        missing = [i for i in configuration_ids if i not in found]
        if missing:
            raise NotFound(f"{len(missing)} configurations are not in the store", place=missing[0])
        return [found[i] for i in configuration_ids]

    # ------------------------------------------------------------ labels

    def add_theory(self, theory: LevelOfTheory) -> None:
        """Keep a level of theory."""
        self._documents.add("theories", [theory_document(theory)])

    def theory(self, theory_id: str) -> LevelOfTheory:
        """The level of theory of that fingerprint."""
        document = self._one("theories", theory_id)
        return LevelOfTheory(code=document["code"], settings=document["settings"])

    def add_labels(
        self, items: Iterable[tuple[Frame, Label]], *, campaign: str, purpose: str
    ) -> int:
        """Keep labels of frames; returns how many were new.

        Parameters
        ----------
        purpose
            ``pool`` (empirical labels of all samples), ``training`` or ``reference``.

        Raises
        ------
        LabelConflict
            A label exists and its answer differs by more than 0.1 meV/atom or 5 meV/Å; the
            second answer is kept in the collection ``conflicts``.
        """
        new = 0
        codes: dict[str, str] = {}
        stream = iter(items)
        while batch := list(islice(stream, BATCH)):
            documents = []
            for frame, label in batch:
                if label.theory_id not in codes:
                    codes[label.theory_id] = self.theory(label.theory_id).code
                documents.append(label_document(label, frame, codes[label.theory_id]))
            join = {"campaign": campaign, "purpose": purpose}
            added = set(self._documents.add("labels", documents, join=join))
            new += len(added)
            self._refuse_conflicts([d for d in documents if d["_id"] not in added])
        return new

    def claim_labels(
        self, configuration_ids: Sequence[str], theory_id: str, *, campaign: str, purpose: str
    ) -> list[str]:
        """Let a campaign share labels that exist; returns the configurations that lack one."""
        ids = {label_id(c, theory_id): c for c in configuration_ids}
        known = self._present("labels", list(ids))
        have = ({"_id": i} for i in sorted(known))
        self._documents.add("labels", have, join={"campaign": campaign, "purpose": purpose})
        return [c for i, c in ids.items() if i not in known]

    def label_documents(
        self, filter_: Mapping[str, Any], *, fields: Sequence[str] | None = None
    ) -> Iterator[Document]:
        """Stream label documents that match, as MongoDB holds them."""
        return self._documents.find("labels", filter_, fields=fields)

    def labelled(self, filter_: Mapping[str, Any]) -> Iterator[LabelledConfiguration]:
        """Stream configurations with their labels, in the order of the label ids."""
        stream = self._documents.find("labels", filter_, sort="_id")
        while batch := list(islice(stream, BATCH)):
            frames = self.frames_of([document["configuration"] for document in batch])
            for document, frame in zip(batch, frames, strict=True):
                yield LabelledConfiguration(
                    configuration=frame.configuration,
                    label=label_of(document),
                    trajectory=frame.trajectory,
                    phase=frame.phase,
                )

    def count_labels(self, filter_: Mapping[str, Any]) -> int:
        """Number of labels that match."""
        return self._documents.count("labels", filter_)

    def count_conflicts(self) -> int:
        """Number of second answers that were refused."""
        return self._documents.count("conflicts", {})

    def _refuse_conflicts(self, documents: Sequence[Document]) -> None:
        wanted = {document["_id"]: document for document in documents}
        for old in self._documents.find("labels", {"_id": {"$in": list(wanted)}}):
            difference = _disagreement(label_of(old), label_of(wanted[old["_id"]]), old["n_atoms"])
            if difference:
                second = wanted[old["_id"]]
                key = f"{old['_id']}/{digest(repr(second['energy']))[:8]}"
                self._documents.add("conflicts", [{**second, "_id": key, "label": old["_id"]}])
                raise LabelConflict(
                    f"a second answer differs by {difference}",
                    place=old["_id"],
                    remedy="compare it with the first in the collection 'conflicts'",
                )

    # ------------------------------------------------------------ quarantine

    def add_quarantine(self, records: Iterable[Quarantine], *, campaign: str) -> int:
        """Keep failures with their reasons; returns how many were new."""
        documents = (quarantine_document(record) for record in records)
        return len(self._documents.add("quarantine", documents, join={"campaign": campaign}))

    def quarantined(self, filter_: Mapping[str, Any]) -> list[Document]:
        """Quarantine documents whose question has no label to this day."""
        found = list(self._documents.find("quarantine", filter_, sort="_id"))
        labelled = self._present("labels", [document["_id"] for document in found])
        return [document for document in found if document["_id"] not in labelled]

    # ------------------------------------------------------------ chunks and steps

    def add_chunks(self, campaign: str, chunks: Sequence[Sequence[str]]) -> None:
        """Keep the configuration ids of each chunk."""
        self._documents.add(
            "chunks",
            (
                {
                    "_id": f"{campaign}/{number:05d}",
                    "campaign": campaign,
                    "number": number,
                    "configurations": list(ids),
                }
                for number, ids in enumerate(chunks)
            ),
        )

    def chunk(self, campaign: str, number: int) -> list[str]:
        """Configuration ids of one chunk."""
        ids: list[str] = self._one("chunks", f"{campaign}/{number:05d}")["configurations"]
        return ids

    def finish_step(
        self, campaign: str, key: str, *, stage: str, wall_s: float, core_s: float, result: Any
    ) -> None:
        """File a step as done, with its cost and a small result (plain JSON)."""
        document = {
            "_id": f"{campaign}/{key}",
            "campaign": campaign,
            "key": key,
            "stage": stage,
            "wall_s": wall_s,
            "core_s": core_s,
            "result": result,
            "created": now(),
        }
        self._documents.add("steps", [document])

    def steps(self, campaign: str) -> list[Document]:
        """The finished steps of a campaign, in the order in which they ended."""
        return list(self._documents.find("steps", {"campaign": campaign}, sort="created"))

    def put_progress(self, campaign: str, key: str, progress: Mapping[str, Any]) -> None:
        """Say how far a long step is; only the newest word is kept."""
        document = {"_id": f"{campaign}/{key}", "campaign": campaign, "key": key, **progress}
        self._documents.replace("progress", document)

    def progress(self, campaign: str) -> dict[str, Document]:
        """The newest word of each long step, by key."""
        return {d["key"]: d for d in self._documents.find("progress", {"campaign": campaign})}

    # ------------------------------------------------------------ datasets, models, evaluations

    def freeze_dataset(
        self,
        campaign: str,
        *,
        theory_id: str,
        split: Mapping[str, Sequence[str]],
    ) -> str:
        """Freeze label ids and their split as a dataset version; returns its id ``set-...``."""
        lists = {part: sorted(ids) for part, ids in split.items()}
        id_ = content_id("set", {"theory": theory_id, "split": lists})
        version = 1 + self._documents.count("datasets", {"campaign": campaign, "_id": {"$ne": id_}})
        document = {
            "_id": id_,
            "schema": SCHEMA,
            "campaign": campaign,
            "name": f"{campaign}-v{version}",
            "version": version,
            "theory": theory_id,
            "split": lists,
            "counts": {part: len(ids) for part, ids in lists.items()},
            "created": now(),
        }
        self._documents.add("datasets", [document])
        return id_

    def dataset(self, key: str) -> Document:
        """A dataset version by id, by name ``campaign-vN``, or the newest of a campaign."""
        filter_ = {"$or": [{"_id": key}, {"name": key}, {"campaign": key}]}
        found = list(self._documents.find("datasets", filter_, sort="version"))
        if not found:
            raise NotFound("no such dataset", place=key)
        return found[-1]

    def dataset_part(self, dataset_id: str, part: str) -> list[LabelledConfiguration]:
        """The labelled configurations of ``train``, ``validation`` or ``test``."""
        ids = self._one("datasets", dataset_id)["split"][part]
        items: list[LabelledConfiguration] = []
        for batch in _batches(ids):
            items += self.labelled({"_id": {"$in": batch}})
        if len(items) != len(ids):
            raise StoreError(
                f"{len(ids) - len(items)} labels of {part} are missing", place=dataset_id
            )
        return items

    def add_model(self, model_id: str, data: bytes, record: Mapping[str, Any]) -> None:
        """Keep a trained model: its file under its sha256, its record under its id."""
        blob = digest(data)
        self._documents.put_blob(blob, data)
        document = {"_id": model_id, "schema": SCHEMA, "blob": blob, "created": now(), **record}
        self._documents.add("models", [document])

    def model(self, key: str) -> Document:
        """A model record by id, or the newest of a campaign."""
        filter_ = {"$or": [{"_id": key}, {"campaign": key}]}
        found = list(self._documents.find("models", filter_, sort="created"))
        if not found:
            raise NotFound("no such model", place=key)
        return found[-1]

    def model_data(self, model_id: str) -> bytes:
        """The file of a model, verified.

        Raises
        ------
        StoreError
            The bytes do not have the sha256 under which they were kept.
        """
        blob = self._one("models", model_id)["blob"]
        data = self._documents.get_blob(blob)
        if digest(data) != blob:
            raise StoreError("the stored model file is damaged", place=model_id)
        return data

    def put_evaluation(self, campaign: str, document: Mapping[str, Any]) -> None:
        """Keep the newest evaluation of a campaign."""
        self._documents.replace(
            "evaluations",
            {"_id": campaign, "campaign": campaign, "created": now(), "evaluation": dict(document)},
        )

    def evaluation(self, campaign: str) -> Document:
        """The newest evaluation of a campaign, as plain JSON."""
        found: Document = self._one("evaluations", campaign)["evaluation"]
        return found

    # ------------------------------------------------------------ inside

    def _one(self, collection: str, id_: str) -> Document:
        for document in self._documents.find(collection, {"_id": id_}):
            return document
        raise NotFound(f"nothing of that name in '{collection}'", place=id_)

    def _present(self, collection: str, ids: Sequence[str]) -> set[str]:
        present: set[str] = set()
        for batch in _batches(ids):
            found = self._documents.find(collection, {"_id": {"$in": batch}}, fields=["_id"])
            present.update(document["_id"] for document in found)
        return present


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), BATCH):
        yield list(ids[start : start + BATCH])


def _disagreement(first: Label, second: Label, n_atoms: int) -> str:
    """In words, by how much two answers differ beyond tolerance; empty if they agree."""
    energy = abs(first.energy - second.energy) / n_atoms
    if energy > ENERGY_TOLERANCE:
        return f"{1e3 * energy:.3g} meV/atom"
    if first.forces is not None and second.forces is not None:
        force = float(np.abs(first.forces - second.forces).max())
        if force > FORCE_TOLERANCE:
            return f"{1e3 * force:.3g} meV/Å"
    return ""
