"""Advance a campaign: read its state from the store, add the steps that may start.

Every step calls this when it has filed its result, and so does ``fw-nnp status``: a worker
that is killed in between delays nothing for good.
"""

from __future__ import annotations

from fireworks import LaunchPad

from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.sampling.protocols import sampling_runs
from fw_nnp.store.store import Store

from .stages import CampaignState, ready_workflows
from .submit import add_once, workflow_of


def campaign_spec(store: Store, campaign: str) -> CampaignSpec:
    """The stored spec of a campaign."""
    return parse(CampaignSpec, store.campaign(campaign)["spec"], place=f"campaign {campaign}")


def campaign_state(store: Store, campaign: str) -> CampaignState:
    """Count what is there; a few indexed queries, whatever the size of the campaign."""
    spec = campaign_spec(store, campaign)
    steps = {step["key"]: step["result"] for step in store.steps(campaign)}
    selection = steps.get("select") or {}
    theory = (steps.get("plan") or {}).get("theory", "")
    mine = {"campaign": campaign, "theory": theory}
    return CampaignState(
        spec=spec,
        runs=[run.id for run in sampling_runs(spec.sample, spec.seed)],
        finished=frozenset(steps),
        n_chunks=selection.get("n_chunks", 0),
        n_selected=selection.get("n_selected", 0),
        n_labels=store.count_labels({**mine, "purpose": "training"}),
        n_quarantined=len(store.quarantined(mine)),
    )


def advance(launchpad: LaunchPad, store: Store, campaign: str) -> int:
    """Add every step that may start and is not there; returns how many workflows were new."""
    state = campaign_state(store, campaign)
    chains = ready_workflows(state)
    unfinished = [chain for chain in chains if any(s.key not in state.finished for s in chain)]
    return add_once(launchpad, [workflow_of(campaign, chain) for chain in unfinished])
