"""Campaign files: workflow files that FireWorks itself loads, read and checked first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import load_yaml, merged, parse
from fw_nnp.core.specs import CampaignSpec

PLANNER = "{{fw_nnp.firetasks.PlanCampaign}}"


def read_campaign(path: Path, *, quick: bool = False) -> CampaignSpec:
    """The campaign in a workflow file.

    Parameters
    ----------
    quick
        Lay the file's ``quick:`` section over the rest; the name gets ``-quick`` appended.

    Raises
    ------
    SpecError
        With file, key and remedy.
    """
    data = _planned(load_yaml(path), path)
    if quick:
        if not data.get("quick"):
            raise SpecError("has no 'quick' section", place=str(path))
        data = {**merged(data, data["quick"]), "name": f"{data.get('name')}-quick"}
    data = {key: value for key, value in data.items() if key != "quick"} if quick else data
    return parse(CampaignSpec, data, place=str(path))


def _planned(document: Any, path: Path) -> dict[str, Any]:
    """The ``campaign:`` of the one planner task in a workflow document."""
    tasks = [
        task
        for firework in (document.get("fws") or [] if isinstance(document, Mapping) else [])
        for task in (firework.get("spec") or {}).get("_tasks") or []
        if task.get("_fw_name") == PLANNER
    ]
    if len(tasks) != 1 or not isinstance(tasks[0].get("campaign"), Mapping):
        raise SpecError(
            f"not a campaign file: it needs one task {PLANNER} with a 'campaign' section",
            place=str(path),
            remedy="start from examples/campaigns/al_quickstart.yaml",
        )
    return dict(tasks[0]["campaign"])
