"""Steps as Fireworks, added exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fireworks import Firework, LaunchPad, Workflow
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from fw_nnp.core.errors import SpecError
from fw_nnp.core.hashing import canonical_json
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.services.launchpad import prepare
from fw_nnp.store.store import Store

from .check import check_files
from .stages import Step, planning_step

MAX_SPEC_BYTES = 16_000
MAX_FIREWORKS = 1_000  # one workflow of N Fireworks costs O(N) per state change


def campaign_workflow(spec: CampaignSpec, *, base: str) -> Workflow:
    """The workflow that plans a campaign: what ``lpad add`` of its file submits, too.

    Parameters
    ----------
    base
        Folder against which the relative paths of the spec are taken.
    """
    planned = spec.model_dump(mode="json", exclude_unset=True)
    planner = planning_step({"campaign": planned, "base": base})
    return workflow_of(spec.name, [planner])


def workflow_of(campaign: str, chain: Sequence[Step]) -> Workflow:
    """One workflow of the steps of `chain`, each after the one before it.

    Raises
    ------
    SpecError
        A spec is too large for FireWorks, or the workflow has too many Fireworks.
    """
    if len(chain) > MAX_FIREWORKS:
        raise SpecError(f"{len(chain)} Fireworks in one workflow; the limit is {MAX_FIREWORKS}")
    fireworks = [_firework(campaign, step, -index) for index, step in enumerate(chain, start=1)]
    links = {-index: [-index - 1] for index in range(1, len(chain))}
    key = chain[0].key
    return Workflow(
        fireworks, links, name=f"{campaign}: {key}", metadata={"campaign": campaign, "key": key}
    )


def _firework(campaign: str, step: Step, fw_id: int) -> Firework:
    # The planner carries its campaign inside its spec; all others refer to it by name.
    reference = {} if step.key == "plan" else {"campaign": campaign, "key": step.key}
    task = {"_fw_name": f"{{{{fw_nnp.firetasks.{step.task}}}}}", **reference, **step.parameters}
    spec = {
        "_tasks": [task],
        "_category": step.category,
        "_priority": step.priority,
        "_add_launchpad_and_fw_id": True,
        "campaign": campaign,
        "stage": step.stage,
    }
    size = len(canonical_json(spec).encode())
    if size > MAX_SPEC_BYTES:
        raise SpecError(
            f"the spec of '{step.key}' has {size} bytes; FireWorks is slow beyond {MAX_SPEC_BYTES}",
            place=campaign,
            remedy="refer to files instead of writing data into the campaign",
        )
    return Firework.from_dict({"spec": spec, "fw_id": fw_id, "name": f"{campaign} {step.key}"})


def submit_campaign(launchpad: LaunchPad, store: Store, spec: CampaignSpec, *, base: Path) -> int:
    """Register a campaign and add its planner; returns 0 if it was there already.

    Raises
    ------
    SpecError
        A file is missing, or a campaign of that name has other settings.
    """
    check_files(spec, base=base)
    store.open_campaign(spec.name, spec.model_dump(mode="json"), str(base))
    return add_once(launchpad, [campaign_workflow(spec, base=str(base))])


def initialise(launchpad: LaunchPad, store: Store) -> None:
    """FireWorks' counters and all indexes, in a new or an old database; twice changes nothing."""
    prepare(launchpad)
    ensure_indexes(launchpad)
    store.prepare()


def ensure_indexes(launchpad: LaunchPad) -> None:
    """Indexes of FireWorks' collections: unique workflows, fast check-out."""
    launchpad.workflows.create_index(
        [("metadata.campaign", ASCENDING), ("metadata.key", ASCENDING)],
        unique=True,
        partialFilterExpression={"metadata.key": {"$exists": True}},
        name="campaign_key",
    )
    launchpad.fireworks.create_index(
        [
            ("state", ASCENDING),
            ("spec._category", ASCENDING),
            ("spec._priority", DESCENDING),
            ("created_on", ASCENDING),
        ],
        name="checkout",
    )


def add_once(launchpad: LaunchPad, workflows: Sequence[Workflow]) -> int:
    """Add the workflows whose (campaign, key) are new; returns how many were.

    The workflow document goes first, its Fireworks after it, both as upserts: whoever is
    killed between the two leaves no Firework without a workflow, and the next caller
    completes what is missing. `LaunchPad.add_wf` promises neither.
    """
    if not workflows:
        return 0
    new = 0
    present = _complete_workflows(launchpad, workflows[0].metadata["campaign"])
    for workflow in workflows:
        if workflow.metadata["key"] not in present:
            new += _add(launchpad, workflow)
    return new


def _complete_workflows(launchpad: LaunchPad, campaign: str) -> set[str]:
    """Keys of the campaign's workflows whose Fireworks are all there."""
    found = launchpad.workflows.find(
        {"metadata.campaign": campaign}, {"metadata.key": 1, "nodes": 1}
    )
    nodes = {d["metadata"]["key"]: d["nodes"] for d in found if "key" in d["metadata"]}
    wanted = [fw_id for ids in nodes.values() for fw_id in ids]
    have = set(launchpad.fireworks.distinct("fw_id", {"fw_id": {"$in": wanted}}))
    return {key for key, ids in nodes.items() if have.issuperset(ids)}


def _add(launchpad: LaunchPad, workflow: Workflow) -> int:
    for fw_id in workflow.root_fw_ids:
        workflow.id_fw[fw_id].state = "READY"
        workflow.fw_states[fw_id] = "READY"
    first = launchpad.get_new_fw_id(quantity=len(workflow.fws))
    _renumber(workflow, first)
    key = {
        "metadata.campaign": workflow.metadata["campaign"],
        "metadata.key": workflow.metadata["key"],
    }
    document = workflow.to_db_dict()
    try:
        launchpad.workflows.insert_one(document)
        new = 1
    except DuplicateKeyError:  # somebody was faster, or was killed before its Fireworks
        old = launchpad.workflows.find_one(key, {"nodes": 1})
        _renumber(workflow, min(old["nodes"]))
        new = 0
    for firework in workflow.fws:
        firework_document: Mapping[str, Any] = firework.to_db_dict()
        launchpad.fireworks.update_one(
            {"fw_id": firework.fw_id}, {"$setOnInsert": firework_document}, upsert=True
        )
    return new


def _renumber(workflow: Workflow, first: int) -> None:
    ordered = sorted(workflow.id_fw, key=abs)
    mapping = {old: first + index for index, old in enumerate(ordered)}
    for firework in workflow.fws:
        firework.fw_id = mapping[firework.fw_id]
    workflow._reassign_ids(mapping)
