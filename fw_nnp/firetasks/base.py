"""What every step shares: decode, call one function, file the answer, advance the campaign."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from fireworks import FireTaskBase, Firework, FWAction, LaunchPad

from fw_nnp.core.errors import SpecError
from fw_nnp.core.registry import Registry, did_you_mean
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.potentials import EmpiricalPotential, make_potential
from fw_nnp.services.engines import Programs, find_programs
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store
from fw_nnp.workflows.advance import advance, campaign_spec

from .stopping import REQUESTED, StopRequested, stoppable

COMMANDS = ("lmp_cmd", "pw_cmd", "vasp_cmd")
ENV_KEYS = (*COMMANDS, "scratch", "results", "cores")


class Unfinished(Exception):
    """A polled step stopped in good order with work left: it goes on in a new Firework.

    Attributes
    ----------
    result
        What was done all the same, filed with its cost.
    """

    def __init__(self, result: Mapping[str, Any]) -> None:
        super().__init__("stopped in good order")
        self.result = dict(result)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step works with.

    Attributes
    ----------
    base
        Folder of the campaign file, for relative paths.
    scratch, results
        Folders of this worker: for running programs, and for what people open.
    cores
        Cores that this worker may use at once.
    stop
        True when the step should end in good order.
    """

    store: Store
    campaign: str
    key: str
    spec: CampaignSpec
    base: Path
    programs: Programs
    scratch: Path
    results: Path
    cores: int
    stop: Callable[[], bool] = field(default=lambda: False)

    def result(self, key: str) -> Mapping[str, Any]:
        """The filed result of an earlier step.

        Raises
        ------
        SpecError
            That step has not been finished.
        """
        for step in self.store.steps(self.campaign):
            if step["key"] == key:
                found: Mapping[str, Any] = step["result"]
                return found
        raise SpecError(f"'{key}' has not been finished", place=self.campaign)

    def directory(self, name: str) -> Path:
        """A folder under this campaign's scratch."""
        path = self.scratch / self.campaign / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def potential(self, *, target: bool) -> EmpiricalPotential:
        """The sampler's potential; `target`: that of the metal which the labels are for."""
        sample = self.spec.sample
        chosen = sample.translate.potential if target and sample.translate else sample.potential
        return make_potential(
            chosen,
            lmp=self.programs.require("lmp") if chosen.engine == "lammps" else [],
            base=self.base,
            potentials_dir=self.programs.potentials,
        )


Work = Callable[[Context, Mapping[str, Any]], dict[str, Any]]

#: Name of the FireTask -> the function that does it; imported when it is first run, so that
#: submitting loads no torch.
STEPS: Registry[Work] = Registry(
    "step",
    {
        "PlanCampaign": "fw_nnp.firetasks.plan:plan",
        "SampleRun": "fw_nnp.firetasks.sample:sample_run",
        "SelectFrames": "fw_nnp.firetasks.select:select",
        "RelabelChunk": "fw_nnp.firetasks.relabel:relabel_chunk",
        "ComputeReference": "fw_nnp.firetasks.relabel:compute_reference",
        "CollectDataset": "fw_nnp.firetasks.collect:collect",
        "TrainStage": "fw_nnp.firetasks.train:train",
        "EvaluateModel": "fw_nnp.firetasks.evaluate:evaluate",
        "WriteReport": "fw_nnp.firetasks.report:report",
    },
)


def context_of(
    store: Store, campaign: str, key: str, env: Mapping[str, Any], stop: Callable[[], bool]
) -> Context:
    """The context of a step on a worker whose file has this ``env``.

    Raises
    ------
    SpecError
        Unknown key in ``env``.
    """
    for name in env:
        if name not in ENV_KEYS:
            raise SpecError(
                f"unknown key '{name}'{did_you_mean(name, list(ENV_KEYS))}",
                place="env of the worker file",
                remedy=f"known: {', '.join(ENV_KEYS)}",
            )
    here = Path.cwd().parent  # the launch directory is one launch's own
    return Context(
        store=store,
        campaign=campaign,
        key=key,
        spec=campaign_spec(store, campaign),
        base=Path(store.campaign(campaign)["base"]),
        programs=find_programs({k: env[k] for k in COMMANDS if env.get(k)}),
        scratch=Path(env.get("scratch") or here / "scratch").resolve(),
        results=Path(env.get("results") or here / "results").resolve(),
        cores=int(env.get("cores") or 1),
        stop=stop,
    )


def run_step(context: Context, stage: str, task: str, parameters: Mapping[str, Any]) -> None:
    """Do a step and file its result and cost, unless it has been filed before.

    A step that stops halfway files its cost, too, under a key of its own.
    """
    store, key = context.store, context.key
    if any(step["key"] == key for step in store.steps(context.campaign)):
        return
    wall, cores = time.monotonic(), _core_seconds()

    def file(key: str, result: Mapping[str, Any]) -> None:
        store.finish_step(
            context.campaign,
            key,
            stage=stage,
            wall_s=time.monotonic() - wall,
            core_s=_core_seconds() - cores,
            result=dict(result),
        )

    try:
        result = STEPS.get(task)(context, parameters)
    except Unfinished as stopped:
        file(f"{key}/stopped-{time.time_ns()}", stopped.result)
        raise
    file(key, result)


def _core_seconds() -> float:
    """CPU seconds of this worker and of the programs that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


class CampaignTask(FireTaskBase):  # type: ignore[misc]
    """Base of the FireTasks; a subclass names its parameters, :data:`STEPS` its function.

    FireWorks checks that required parameters are there; this class refuses unknown ones, too,
    on construction and on load.
    """

    polled: ClassVar[bool] = False
    parameters: ClassVar[tuple[str, ...]] = ()
    required_params: ClassVar[tuple[str, ...]] = ("campaign", "key")

    launchpad: LaunchPad
    fw_id: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [*self.required_params, *self.parameters, "_fw_name"]
        for key in self:
            if key not in known:
                raise SpecError(f"unknown parameter '{key}'", place=type(self).__name__)

    def run_task(self, fw_spec: Mapping[str, Any]) -> FWAction:
        """Run the step that the parameters name."""
        parameters = {name: self[name] for name in self.parameters}
        return self.run_as(self["campaign"], self["key"], parameters, fw_spec)

    def run_as(
        self,
        campaign: str,
        key: str,
        parameters: Mapping[str, Any],
        fw_spec: Mapping[str, Any],
    ) -> FWAction:
        """Run a step; a stopped one is handed on to a new Firework of the same spec."""
        if REQUESTED.is_set():
            self._give_back()
        store = Store(MongoDocuments(self.launchpad.db))
        env = fw_spec.get("_fw_env") or {}
        try:
            with stoppable(polled=self.polled) as stop:
                context = context_of(store, campaign, key, env, stop)
                run_step(context, fw_spec.get("stage", "plan"), type(self).__name__, parameters)
        except (StopRequested, Unfinished):
            again = {k: fw_spec[k] for k in fw_spec if k not in ("_fw_env", "_tasks")}
            return FWAction(
                detours=[Firework([self], spec=again, name=f"{campaign} {key} (continued)")]
            )
        advance(self.launchpad, store, campaign)
        return FWAction()

    def _give_back(self) -> NoReturn:
        """Leave this Firework to another worker and end this one.

        `rlaunch rapidfire` goes on with the next Firework although it was asked to stop;
        the scheduler would kill it in the middle.
        """
        self.launchpad.rerun_fw(self.fw_id)
        os._exit(128 + signal.SIGTERM)
