"""Sample: one run of the sampler, its frames tagged and labelled by the empirical potential."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fw_nnp.core.errors import NotFound
from fw_nnp.core.hashing import content_id
from fw_nnp.core.records import Quarantine
from fw_nnp.core.specs import ImportSpec
from fw_nnp.potentials import label_each
from fw_nnp.sampling.phases import tag
from fw_nnp.sampling.protocols import SamplingRun, refused_frames, run_sampling, sampling_runs
from fw_nnp.sampling.translate import translate

from .base import Context


def sample_run(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Run it, carry it over to the target metal if the campaign says so, tag, label, store."""
    spec = context.spec
    run = next(
        (r for r in sampling_runs(spec.sample, spec.seed) if r.id == parameters["run"]), None
    )
    if run is None:
        raise NotFound("no such sampling run in this campaign", place=str(parameters["run"]))
    directory = context.directory(context.key)
    sampled = run_sampling(run, context.potential(target=False), directory, base=context.base)
    frames = [frame for frame, _ in sampled]
    labels = [label for _, label in sampled]
    if spec.sample.translate:
        frames = translate(frames, spec.sample.translate)
        target = context.potential(target=True)
        labels = label_each(target, [frame.configuration for frame in frames], directory)
    pool = [(f, label) for f, label in zip(frames, labels, strict=True) if label is not None]
    without = [f for f, label in zip(frames, labels, strict=True) if label is None]
    tags = tag([frame.configuration for frame, _ in pool])
    pool = [(replace(f, phase=t.phase), label) for (f, label), t in zip(pool, tags, strict=True)]
    context.store.add_frames([*(f for f, _ in pool), *without], campaign=context.campaign)
    context.store.add_labels(pool, campaign=context.campaign, purpose="pool")
    shutil.rmtree(directory)
    refused = _refused(context, run)
    context.store.add_quarantine(refused, campaign=context.campaign)
    return {
        "frames": len(frames),
        "phases": dict(Counter(frame.phase for frame, _ in pool)),
        "without_label": [frame.configuration.id for frame in without],
        "refused": len(refused),
        "run_id": run.id,
        "run": run.model_dump(mode="json"),
        "potential": context.potential(target=False).theory.id,
    }


def _refused(context: Context, run: SamplingRun) -> list[Quarantine]:
    """Frames that were to be labelled whatever they are, but are no configurations at all."""
    protocol = run.protocol
    if not isinstance(protocol, ImportSpec) or not protocol.always:
        return []
    return [
        Quarantine(
            configuration_id=content_id("cfg", [run.id, str(number)]),
            theory_id=context.result("plan")["theory"],
            error_class="geometry",
            reason=f"frame {number} of {protocol.file} is no configuration: {reason}",
            evidence={"place": protocol.file, "frame": number},
        )
        for number, reason in refused_frames(run, context.base).items()
    ]
