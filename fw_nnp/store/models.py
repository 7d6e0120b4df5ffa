"""Trained potentials in the store: records, and files kept under their own sha256."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fw_nnp.core.errors import StoreError
from fw_nnp.core.hashing import digest

from .base import Document
from .documents import now
from .schema import SCHEMA
from .shelf import Shelf


class Models(Shelf):
    """Models and blobs."""

    def add_model(self, model_id: str, data: bytes, record: Mapping[str, Any]) -> None:
        """Keep a trained model: its file under its sha256, its record under its id."""
        stated = {key: value for key, value in record.items() if value is not None}
        document = {
            "_id": model_id,
            "schema": SCHEMA,
            "blob": self.add_blob(data),
            "created": now(),
            **stated,
        }
        self._documents.add("models", [document])

    def model(self, key: str) -> Document:
        """A model record by id, or the newest of a campaign."""
        return self._newest("models", {"_id": key, "campaign": key}, "created", "model")

    def models(self, filter_: Mapping[str, Any]) -> list[Document]:
        """Model records that match, oldest first."""
        return list(self._documents.find("models", filter_, sort="created"))

    def evaluated(self, model_id: str) -> str:
        """The campaign whose newest evaluation is of this model, or an empty text."""
        campaign = self._one("models", model_id)["campaign"]
        for document in self._documents.find("evaluations", {"_id": campaign}):
            if document["evaluation"].get("model_id") == model_id:
                return str(campaign)
        return ""

    def model_data(self, model_id: str) -> bytes:
        """The file of a model, verified."""
        return self.blob(self._one("models", model_id)["blob"])

    def add_blob(self, data: bytes) -> str:
        """Keep a file of any kind; returns its name, the sha256 of the content."""
        name = digest(data)
        self._documents.put_blob(name, data)
        return name

    def blob(self, name: str) -> bytes:
        """The bytes under `name`, verified.

        Raises
        ------
        StoreError
            The bytes do not have the sha256 under which they were kept.
        """
        data = self._documents.get_blob(name)
        if digest(data) != name:
            raise StoreError(
                "the stored file is damaged",
                place=name,
                remedy="restore it from a backup: fw-nnp store restore",
            )
        return data
