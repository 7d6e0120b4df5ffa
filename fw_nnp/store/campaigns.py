"""Campaigns in the store: specs, chunks, steps with their costs, quarantine, evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fw_nnp.core.errors import SpecError
from fw_nnp.core.hashing import content_id
from fw_nnp.core.records import Quarantine

from .base import Document
from .documents import now, quarantine_document
from .schema import SCHEMA
from .shelf import Shelf


class Campaigns(Shelf):
    """What belongs to one campaign by its name."""

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

    # ------------------------------------------------------------ evaluations

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
