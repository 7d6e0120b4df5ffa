"""Collect: freeze the labels that are there as a dataset version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Context


def collect(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Assign each label to the part that its trajectory was given at selection."""
    store = context.store
    theory = context.result("plan")["theory"]
    parts = context.result("select")["parts"]
    part_of = {group: part for part, groups in parts.items() for group in groups}
    by_trajectory = context.spec.dataset.split_by == "trajectory"
    split: dict[str, list[str]] = {part: [] for part in parts}
    for document in store.label_documents(
        {"campaign": context.campaign, "theory": theory, "purpose": "training"},
        fields=["trajectory", "configuration"],
    ):
        group = document["trajectory"] if by_trajectory else document["configuration"]
        split[part_of[group]].append(document["_id"])
    dataset = store.freeze_dataset(context.campaign, theory_id=theory, split=split)
    return {"dataset": dataset, "counts": {part: len(ids) for part, ids in split.items()}}
