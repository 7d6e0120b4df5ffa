"""Collect: freeze the labels that are there as a dataset version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Context


def collect(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Freeze what is labelled when the gate opens."""
    dataset = freeze(context)
    return {"dataset": dataset, "counts": context.store.dataset(dataset)["counts"]}


def freeze(context: Context) -> str:
    """Assign each label to the part that its trajectory was given at selection.

    Nothing new is the same version; late labels make the next one.
    """
    store, how = context.store, context.spec.dataset
    theory = context.result("plan")["theory"]
    parts = context.result("select")["parts"]
    part_of = {group: part for part, groups in parts.items() for group in groups}
    split: dict[str, list[str]] = {part: [] for part in parts}
    for document in store.label_documents(
        {"campaign": context.campaign, "theory": theory, "purpose": "training"},
        fields=["trajectory", "configuration"],
    ):
        by_trajectory = how.split_by == "trajectory"
        group = document["trajectory"] if by_trajectory else document["configuration"]
        split[part_of[group]].append(document["_id"])
    return store.freeze_dataset(
        context.campaign,
        theories=[theory],
        split=split,
        recipe={
            "query": f"campaign={context.campaign} theory={theory} purpose=training",
            "split_by": [how.split_by],
            "fractions": list(how.fractions),
            "seed": how.seed,
        },
    )
