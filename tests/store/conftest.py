"""A store on MongoDB and its twin in memory."""

from __future__ import annotations

import pytest
from stores import filled_with_theories

from fw_nnp.store.memory import MemoryDocuments
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.engines)])
def store(request: pytest.FixtureRequest) -> Store:
    documents = MemoryDocuments()
    if request.param == "mongo":
        documents = MongoDocuments(request.getfixturevalue("launchpad").db)
    return filled_with_theories(Store(documents))


@pytest.fixture
def mongo_store(launchpad) -> Store:
    """The real one, for what a twin cannot show."""
    return filled_with_theories(Store(MongoDocuments(launchpad.db)))
