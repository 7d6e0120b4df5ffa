"""The plan of a campaign: which steps exist, and which may start, from what is finished.

Pure: no database, no FireWorks. A step that is added twice is added once (`submit.add_once`),
so every worker may ask this question at the end of every step, and nobody has to wait::

    sample-* ── select ─┬─ relabel-* ── gate ─┐
                        └─ pretrain ──────────┴─ collect ── transfer ── ... ─┬─ evaluate ── report
    reference ───────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fw_nnp.core.specs import CampaignSpec, StageSpec

MD, DFT, GPU = "md", "dft", "gpu"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One Firework of a campaign.

    Attributes
    ----------
    key
        Unique within the campaign, for example ``relabel-00003``.
    stage
        What it is counted under: ``sample``, ``select``, ``relabel`` ...
    task
        Class in `fw_nnp.firetasks`.
    category
        Routes it to workers: ``md``, ``dft`` or ``gpu``.
    parameters
        Of the task, beyond campaign and key: references, never data.
    priority
        FireWorks' ``_priority``; larger runs first.
    """

    key: str
    stage: str
    task: str
    category: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class CampaignState:
    """What is known about a campaign, in numbers.

    Attributes
    ----------
    runs
        Ids of the sampling runs of the spec.
    finished
        Keys of the finished steps.
    n_chunks, n_selected
        Of the selection; 0 before it.
    n_labels, n_quarantined
        Selected configurations with a label, and with a failure on record.
    """

    spec: CampaignSpec
    runs: Sequence[str]
    finished: frozenset[str]
    n_chunks: int = 0
    n_selected: int = 0
    n_labels: int = 0
    n_quarantined: int = 0

    @property
    def gate_open(self) -> bool:
        """Enough labels to train: `min_yield` of the selection."""
        enough = self.spec.relabel.min_yield * self.n_selected
        return self.n_selected > 0 and self.n_labels >= enough

    @property
    def gate_hopeless(self) -> bool:
        """Every selected configuration has ended and the gate is still closed."""
        ended = self.n_labels + self.n_quarantined
        return 0 < self.n_selected <= ended and not self.gate_open


def ready_workflows(state: CampaignState) -> list[list[Step]]:
    """Chains of steps that may start now; each chain is one workflow, its steps in order.

    Chains that have been added before are in the list as well: adding is idempotent.
    """
    chains = [[sampling_step(run)] for run in state.runs]
    chains.append([Step(key="reference", stage="reference", task="ComputeReference", category=DFT)])
    if all(sampling_step(run).key in state.finished for run in state.runs):
        chains.append([Step(key="select", stage="select", task="SelectFrames", category=MD)])
    if "select" in state.finished:
        chains += [[relabel_step(number)] for number in range(state.n_chunks)]
        chains += [[training_step(stage)] for stage in low_stages(state.spec)]
    low = {training_step(stage).key for stage in low_stages(state.spec)}
    if state.gate_open and low <= state.finished:
        chains.append(training_chain(state.spec))
    if {"reference", training_chain(state.spec)[-1].key} <= state.finished:
        chains.append(evaluation_chain())
    return chains


def planning_step(parameters: Mapping[str, Any] | None = None) -> Step:
    """Register the campaign and its levels of theory."""
    return Step(
        key="plan",
        stage="plan",
        task="PlanCampaign",
        category=MD,
        parameters=parameters or {},
        priority=30,
    )


def sampling_step(run: str) -> Step:
    """Sample, tag and label one run with the empirical potential."""
    return Step(
        key=f"sample-{run}",
        stage="sample",
        task="SampleRun",
        category=MD,
        parameters={"run": run},
        priority=20,
    )


def relabel_step(number: int) -> Step:
    """Relabel one chunk of the selection."""
    return Step(
        key=f"relabel-{number:05d}",
        stage="relabel",
        task="RelabelChunk",
        category=DFT,
        parameters={"chunk": number},
        priority=10,
    )


def training_step(stage: StageSpec) -> Step:
    """One stage of training."""
    return Step(
        key=f"train-{stage.name}",
        stage=stage.name,
        task="TrainStage",
        category=GPU,
        parameters={"stage": stage.name},
    )


def low_stages(spec: CampaignSpec) -> list[StageSpec]:
    """Stages on the empirical labels of the pool: they need not wait for DFT."""
    return [stage for stage in spec.train.stages if stage.labels == "low"]


def training_chain(spec: CampaignSpec) -> list[Step]:
    """Collect the dataset, train on it."""
    high = [stage for stage in spec.train.stages if stage.labels == "high"]
    collect = Step(key="collect", stage="collect", task="CollectDataset", category=GPU)
    return [collect, *[training_step(stage) for stage in high]]


def evaluation_chain() -> list[Step]:
    """Evaluate the last stage's model, write the report: the end of a campaign."""
    return [
        Step(key="evaluate", stage="evaluate", task="EvaluateModel", category=GPU),
        Step(key="report", stage="report", task="WriteReport", category=GPU),
    ]
