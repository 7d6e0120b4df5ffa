"""The dataset store: records in, records out, twice changes nothing."""

from __future__ import annotations

from .campaigns import Campaigns
from .datasets import Datasets
from .models import Models


class Store(Campaigns, Datasets, Models):
    """Configurations, labels, quarantine, datasets, models and evaluations of campaigns."""

    def prepare(self) -> None:
        """Make collections, validators and indexes; twice changes nothing."""
        self._documents.prepare()
