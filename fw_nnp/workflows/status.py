"""Where a campaign stands: counts by stage, from the store and from FireWorks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fireworks import LaunchPad

from fw_nnp.store.store import Store

from .advance import campaign_state
from .stages import CampaignState, Step, evaluation_chain, low_stages, training_step


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """One line of the status table.

    Attributes
    ----------
    done, total
        Units of work (runs, labels, epochs, steps); `total` is 0 while it is not known.
    running, fizzled
        Fireworks in that state.
    """

    stage: str
    unit: str
    done: int
    total: int
    running: int = 0
    fizzled: int = 0


@dataclass(frozen=True, kw_only=True)
class CampaignStatus:
    """Status of a campaign.

    Attributes
    ----------
    finished
        The last step is done.
    hopeless
        Every selected structure has ended, and too few have labels: the gate stays closed.
    failures
        FireWorks' fizzled Fireworks: id, name and last line of the error.
    """

    campaign: str
    stages: list[StageStatus]
    labels: int
    quarantined: int
    finished: bool
    hopeless: bool
    failures: list[dict[str, Any]]


def campaign_status(launchpad: LaunchPad, store: Store, campaign: str) -> CampaignStatus:
    """Count everything; a few indexed queries."""
    state = campaign_state(store, campaign)
    states = _firework_states(launchpad, campaign)
    progress = store.progress(campaign)
    samples = [run for run in state.runs if f"sample-{run}" in state.finished]
    training = [
        *low_stages(state.spec),
        *(s for s in state.spec.train.stages if s.labels == "high"),
    ]
    stages = [
        _line("sample", "runs", len(samples), len(state.runs), states),
        _single("select", state, states),
        _line("relabel", "labels", state.n_labels + state.n_quarantined, state.n_selected, states),
        _single("reference", state, states),
        *[
            _training(training_step(stage), stage.epochs, state, progress, states)
            for stage in training
        ],
        _single("evaluate", state, states),
        _single("report", state, states),
    ]
    return CampaignStatus(
        campaign=campaign,
        stages=stages,
        labels=state.n_labels,
        quarantined=state.n_quarantined,
        finished=evaluation_chain()[-1].key in state.finished,
        hopeless=state.gate_hopeless,
        failures=_failures(launchpad, campaign),
    )


States = dict[str, Counter[str]]


def _line(stage: str, unit: str, done: int, total: int, states: States) -> StageStatus:
    count = states.get(stage, Counter())
    return StageStatus(
        stage=stage,
        unit=unit,
        done=done,
        total=total,
        running=count["RUNNING"],
        fizzled=count["FIZZLED"],
    )


def _single(stage: str, state: CampaignState, states: States) -> StageStatus:
    return _line(stage, "step", int(stage in state.finished), 1, states)


def _training(
    step: Step, epochs: int, state: CampaignState, progress: dict[str, Any], states: States
) -> StageStatus:
    """Training in per cent of its schedule, be that epochs or a time limit."""
    if step.key in state.finished:
        return _line(step.stage, "%", 100, 100, states)
    fraction = progress.get(step.key, {}).get("fraction", 0.0)
    return _line(step.stage, "%", round(100 * fraction), 100, states)


def _firework_states(launchpad: LaunchPad, campaign: str) -> States:
    rows = launchpad.fireworks.aggregate(
        [
            {"$match": {"spec.campaign": campaign}},
            {"$group": {"_id": {"stage": "$spec.stage", "state": "$state"}, "n": {"$sum": 1}}},
        ]
    )
    states: States = {}
    for row in rows:
        states.setdefault(row["_id"]["stage"], Counter())[row["_id"]["state"]] += row["n"]
    return states


def _failures(launchpad: LaunchPad, campaign: str) -> list[dict[str, Any]]:
    fizzled = launchpad.fireworks.find(
        {"spec.campaign": campaign, "state": "FIZZLED"}, {"fw_id": 1, "name": 1}
    )
    failures = []
    for firework in fizzled:
        launch = launchpad.launches.find_one(
            {"fw_id": firework["fw_id"]}, {"action": 1}, sort=[("launch_id", -1)]
        )
        stored = ((launch or {}).get("action") or {}).get("stored_data", {}).get("_exception", {})
        details = stored.get("_details") or {}
        trace = (stored.get("_stacktrace") or "").strip().splitlines()
        failures.append(
            {
                "fw_id": firework["fw_id"],
                "name": firework["name"],
                "reason": details.get("message") or (trace[-1] if trace else "unknown"),
                "remedy": details.get("remedy", ""),
            }
        )
    return failures
