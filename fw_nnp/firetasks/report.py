"""Report: the page and the model, where people find them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fw_nnp.properties.evaluation import Evaluation, from_json
from fw_nnp.report.page import write_report
from fw_nnp.store.store import Store

from .base import Context
from .evaluate import costs


def stored_evaluation(store: Store, campaign: str) -> Evaluation:
    """The newest evaluation of a campaign, with the costs as they stand now."""
    evaluation = from_json(store.evaluation(campaign))
    return replace(evaluation, costs=costs(store, campaign))


def export_report(store: Store, campaign: str, directory: Path) -> tuple[Path, Path]:
    """Write ``report.html`` and ``model.pt`` of a campaign to `directory`; returns both paths."""
    directory.mkdir(parents=True, exist_ok=True)
    evaluation = stored_evaluation(store, campaign)
    model = directory / "model.pt"
    partial = directory / "model.pt.part"
    partial.write_bytes(store.model_data(evaluation.model_id))
    partial.replace(model)
    return write_report(replace(evaluation, model_path=str(model)), directory), model


def report(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Write the report to this worker's folder of results."""
    page, model = export_report(context.store, context.campaign, context.results / context.campaign)
    return {"report": str(page), "model": str(model)}
