"""The plan of a campaign: what may start, and when the gate opens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import stand_ins

from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.workflows.stages import CampaignState, ready_workflows

SPEC = parse(CampaignSpec, stand_ins.campaign(), place="test")
START = CampaignState(spec=SPEC, runs=["trj-a", "trj-b"], finished=frozenset())
SELECTED = replace(
    START,
    finished=frozenset({"sample-trj-a", "sample-trj-b", "select"}),
    n_chunks=3,
    n_selected=20,
)


def keys(state: CampaignState) -> list[list[str]]:
    return [[step.key for step in chain] for chain in ready_workflows(state)]


def test_first_every_run_and_the_reference_start() -> None:
    assert keys(START) == [["sample-trj-a"], ["sample-trj-b"], ["reference"]]


def test_selection_waits_for_every_run() -> None:
    assert ["select"] not in keys(replace(START, finished=frozenset({"sample-trj-a"})))
    assert ["select"] in keys(replace(START, finished=frozenset({"sample-trj-a", "sample-trj-b"})))


def test_chunks_and_pretraining_start_together() -> None:
    found = keys(SELECTED)
    assert ["relabel-00000"] in found
    assert ["relabel-00002"] in found
    assert ["train-pretrain"] in found
    assert not any(chain[0] == "collect" for chain in found)


@pytest.mark.parametrize(("labels", "opens"), [(17, False), (18, True), (20, True)])
def test_the_gate_opens_at_min_yield(labels: int, opens: bool) -> None:
    finished = SELECTED.finished | {"train-pretrain"}
    state = replace(SELECTED, finished=finished, n_labels=labels)
    assert state.gate_open is opens  # min_yield 0.9 of 20
    chain = ["collect", "train-transfer", "train-finetune"]
    assert (chain in keys(state)) is opens


def test_training_waits_for_pretraining() -> None:
    state = replace(SELECTED, n_labels=20)
    assert state.gate_open
    assert not any(chain[0] == "collect" for chain in keys(state))


@pytest.mark.parametrize(
    ("done", "starts"),
    [({"reference"}, False), ({"train-finetune"}, False), ({"reference", "train-finetune"}, True)],
)
def test_evaluation_waits_for_training_and_reference(done: set[str], starts: bool) -> None:
    state = replace(SELECTED, finished=SELECTED.finished | done)
    assert (["evaluate", "report"] in keys(state)) is starts


def test_a_gate_that_cannot_open_says_so() -> None:
    assert not replace(SELECTED, n_labels=10, n_quarantined=5).gate_hopeless
    assert replace(SELECTED, n_labels=15, n_quarantined=5).gate_hopeless
    assert not replace(SELECTED, n_labels=19, n_quarantined=1).gate_hopeless
    assert not START.gate_open
    assert not START.gate_hopeless
