"""A campaign in this very process, step by step, without FireWorks or a server.

The same plan and the same functions as on a cluster: for dry runs, examples and tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import FwNnpError
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.store.store import Store
from fw_nnp.workflows.advance import campaign_state
from fw_nnp.workflows.stages import Step, planning_step, ready_workflows

from .base import context_of, run_step


def run_inline(
    spec: CampaignSpec, store: Store, *, base: Path, env: Mapping[str, Any]
) -> list[str]:
    """Run a campaign to its end; returns the keys of the steps in the order they ran.

    Parameters
    ----------
    base
        Folder against which the relative paths of the spec are taken.
    env
        As ``env`` of a worker file: scratch, results, cores, programs.

    Raises
    ------
    FwNnpError
        The gate stays closed, or a step failed.
    """
    store.open_campaign(spec.name, spec.model_dump(mode="json"), str(base))
    ran: list[str] = []
    ready = [planning_step()]
    while ready:
        for step in ready:
            context = context_of(store, spec.name, step.key, env, lambda: False)
            run_step(context, step.stage, step.task, step.parameters)
            ran.append(step.key)
        ready = _ready(store, spec.name)
    state = campaign_state(store, spec.name)
    if state.gate_hopeless:
        raise FwNnpError(
            f"only {state.n_labels} of {state.n_selected} structures have labels: "
            "the gate stays closed",
            place=spec.name,
            remedy="look into the quarantine; mend the cause or lower min_yield",
        )
    return ran


def _ready(store: Store, campaign: str) -> list[Step]:
    """Every step that may start now and has not been finished."""
    state = campaign_state(store, campaign)
    return [
        step for chain in ready_workflows(state) for step in chain if step.key not in state.finished
    ]
