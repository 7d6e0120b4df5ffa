"""Exactly once, on the real FireWorks and MongoDB."""

from __future__ import annotations

from pathlib import Path

import pytest
import stand_ins
from fireworks import LaunchPad

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store
from fw_nnp.workflows.stages import Step, relabel_step, training_chain
from fw_nnp.workflows.submit import (
    MAX_FIREWORKS,
    add_once,
    campaign_workflow,
    initialise,
    submit_campaign,
    workflow_of,
)

SPEC = parse(CampaignSpec, stand_ins.campaign(), place="test")
pytestmark = pytest.mark.engines


@pytest.fixture
def store(launchpad: LaunchPad) -> Store:
    store = Store(MongoDocuments(launchpad.db))
    initialise(launchpad, store)
    return store


def chunks(n: int) -> list:
    return [workflow_of("c", [relabel_step(number)]) for number in range(n)]


def fireworks(launchpad: LaunchPad) -> list[dict]:
    return list(launchpad.fireworks.find({}, sort=[("fw_id", 1)]))


def test_adding_twice_adds_once(launchpad: LaunchPad, store: Store) -> None:
    assert add_once(launchpad, chunks(3)) == 3
    assert add_once(launchpad, chunks(5)) == 2
    assert [fw["spec"]["_tasks"][0]["chunk"] for fw in fireworks(launchpad)] == [0, 1, 2, 3, 4]
    assert {fw["state"] for fw in fireworks(launchpad)} == {"READY"}


def test_a_writer_killed_between_workflow_and_firework_is_completed(
    launchpad: LaunchPad, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*args: object, **kwargs: object) -> None:
        raise Killed

    chain = [workflow_of("c", training_chain(SPEC))]
    with monkeypatch.context() as patch:
        patch.setattr(type(launchpad.fireworks), "update_one", die)
        with pytest.raises(Killed):
            add_once(launchpad, chain)
    assert fireworks(launchpad) == []
    assert launchpad.workflows.count_documents({}) == 1
    add_once(launchpad, [workflow_of("c", training_chain(SPEC))])
    assert launchpad.workflows.count_documents({}) == 1
    found = fireworks(launchpad)
    assert [fw["name"].split()[1] for fw in found] == [s.key for s in training_chain(SPEC)]
    workflow = launchpad.get_wf_by_fw_id(found[0]["fw_id"])
    assert workflow.links[found[0]["fw_id"]] == [found[1]["fw_id"]]
    assert [fw["state"] for fw in found] == ["READY", "WAITING", "WAITING"]


def test_two_writers_at_once_make_one_workflow(
    launchpad: LaunchPad, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fw_nnp.workflows.submit._complete_workflows", lambda *_: set())
    assert add_once(launchpad, chunks(2)) == 2
    assert add_once(launchpad, chunks(2)) == 0  # blind, as a racing writer is
    assert len(fireworks(launchpad)) == 2


def test_submitting_twice_and_with_other_settings(launchpad: LaunchPad, store: Store) -> None:
    assert submit_campaign(launchpad, store, SPEC, base=Path("/tmp")) == 1
    assert submit_campaign(launchpad, store, SPEC, base=Path("/tmp")) == 0
    changed = SPEC.model_copy(update={"seed": 7})
    with pytest.raises(SpecError, match=r"other settings \(seed\)"):
        submit_campaign(launchpad, store, changed, base=Path("/tmp"))


def test_routing_and_references_only(launchpad: LaunchPad, store: Store) -> None:
    add_once(launchpad, chunks(1))
    (firework,) = fireworks(launchpad)
    assert firework["spec"]["_category"] == "dft"
    assert firework["spec"]["_tasks"] == [
        {
            "_fw_name": "{{fw_nnp.firetasks.RelabelChunk}}",
            "campaign": "c",
            "key": "relabel-00000",
            "chunk": 0,
        }
    ]


def test_large_specs_and_large_workflows_are_refused() -> None:
    data = Step(
        key="x", stage="x", task="SampleRun", category="md", parameters={"run": "y" * 20_000}
    )
    with pytest.raises(SpecError, match="bytes"):
        workflow_of("c", [data])
    with pytest.raises(SpecError, match="Fireworks in one workflow"):
        workflow_of("c", [relabel_step(i) for i in range(MAX_FIREWORKS + 1)])


def test_the_file_and_the_python_call_submit_the_same_planner(tmp_path: Path) -> None:
    workflow = campaign_workflow(SPEC, base=str(tmp_path))
    (firework,) = workflow.fws
    task = firework.tasks[0]
    assert type(task).__name__ == "PlanCampaign"
    assert parse(CampaignSpec, dict(task["campaign"]), place="test") == SPEC


def test_a_misspelt_parameter_is_refused_on_load() -> None:
    from fw_nnp.firetasks import RelabelChunk

    with pytest.raises(SpecError, match="chnk"):
        RelabelChunk.from_dict({"campaign": "c", "key": "k", "chunk": 1, "chnk": 2})
