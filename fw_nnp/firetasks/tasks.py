"""The FireTasks: names and parameters. The names are public API of the launchpad."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fireworks import FWAction

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store
from fw_nnp.workflows.submit import initialise

from .base import CampaignTask


class PlanCampaign(CampaignTask):
    """Expand a campaign file; the only task that a user writes down.

    Parameters
    ----------
    campaign
        The campaign, as `CampaignSpec` describes it.
    base
        Folder of its relative paths; default: the folder that holds the launch directory.
    """

    _fw_name = "{{fw_nnp.firetasks.PlanCampaign}}"
    required_params = ("campaign",)
    parameters = ("base",)

    def run_task(self, fw_spec: Mapping[str, Any]) -> FWAction:
        """Register the campaign, then plan it as any other step."""
        spec = parse(CampaignSpec, dict(self["campaign"]), place="campaign of PlanCampaign")
        base = str(self.get("base") or Path.cwd().parent)
        if not Path(base).is_absolute():
            raise SpecError("must be an absolute path", place="base of PlanCampaign")
        store = Store(MongoDocuments(self.launchpad.db))
        initialise(self.launchpad, store)
        store.open_campaign(spec.name, spec.model_dump(mode="json"), base)
        return self.run_as(spec.name, "plan", {}, fw_spec)


class SampleRun(CampaignTask):
    """One run of the sampler."""

    _fw_name = "{{fw_nnp.firetasks.SampleRun}}"
    parameters = ("run",)


class SelectFrames(CampaignTask):
    """Choose what is relabelled."""

    _fw_name = "{{fw_nnp.firetasks.SelectFrames}}"


class RelabelChunk(CampaignTask):
    """Label one chunk at the high level of theory."""

    _fw_name = "{{fw_nnp.firetasks.RelabelChunk}}"
    parameters = ("chunk",)
    polled = True


class ComputeReference(CampaignTask):
    """Crystal properties at the high level of theory."""

    _fw_name = "{{fw_nnp.firetasks.ComputeReference}}"
    polled = True


class CollectDataset(CampaignTask):
    """Freeze a dataset version."""

    _fw_name = "{{fw_nnp.firetasks.CollectDataset}}"


class TrainStage(CampaignTask):
    """One stage of training."""

    _fw_name = "{{fw_nnp.firetasks.TrainStage}}"
    parameters = ("stage",)
    polled = True


class EvaluateModel(CampaignTask):
    """Errors and properties of the last stage's model."""

    _fw_name = "{{fw_nnp.firetasks.EvaluateModel}}"


class WriteReport(CampaignTask):
    """The page and the model file."""

    _fw_name = "{{fw_nnp.firetasks.WriteReport}}"
