"""Select: choose the frames to relabel, cut them into chunks, fix which trajectory tests what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from fw_nnp.core.near_duplicates import near_duplicate_groups
from fw_nnp.core.specs import CampaignSpec, ImportSpec
from fw_nnp.core.splits import PARTS, assign_parts
from fw_nnp.sampling.protocols import sampling_runs
from fw_nnp.sampling.select import select_frames

from .base import Context


def select(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Freeze the selection.

    The parts of the split are fixed here, by trajectory, so that pre-training can leave out
    the trajectories that will test the potential.
    """
    spec, store = context.spec, context.store
    low = context.result("plan")["low_theory"]
    pool = list(store.labels({"campaign": context.campaign, "theory": low, "purpose": "pool"}))
    frames = store.frames_of([item.configuration.id for item in pool])
    always = _always(spec)
    wanted = [frame.configuration.id for frame in frames if frame.trajectory in always]
    rest = [i for i, frame in enumerate(frames) if frame.trajectory not in always]
    # Without an empirical label: whether it can have one of DFT is for relabelling to say.
    unknown = [
        i
        for step in store.steps(context.campaign)
        if step["result"].get("run_id") in always
        for i in step["result"].get("without_label", [])
    ]
    chosen = wanted + unknown
    if rest or not chosen:
        chosen += select_frames(
            [frames[i] for i in rest], [pool[i].label for i in rest], spec.select, spec.seed
        )
    order = np.random.default_rng(spec.seed).permutation(len(chosen))
    chosen = [chosen[i] for i in order]  # chunks of equal cost, every phase in each
    size = spec.relabel.chunk_size
    chunks = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    store.add_chunks(context.campaign, chunks)
    selected = store.frames_of(chosen)
    how: str = spec.dataset.split_by
    names = [f.trajectory if how == "trajectory" else f.configuration.id for f in selected]
    groups = names
    if how == "near_duplicates":
        known = [f.configuration for f in selected if f.configuration.id not in unknown]
        group_of = dict(zip((c.id for c in known), near_duplicate_groups(known), strict=True))
        groups = [group_of.get(name, name) for name in names]
    phases = [frame.phase for frame in selected]
    part = assign_parts(groups, phases, spec.dataset.fractions, spec.dataset.seed)
    # What was given to be labelled but is no configuration counts: it is in quarantine already.
    refused = sum(step["result"].get("refused", 0) for step in store.steps(context.campaign))
    return {
        "n_pool": len(pool),
        "n_selected": len(chosen) + refused,
        "n_chunks": len(chunks),
        "phases": dict(Counter(phases)),
        "parts": {
            name: sorted({n for n, p in zip(names, part, strict=True) if PARTS[p] == name})
            for name in PARTS
        },
    }


def _always(spec: CampaignSpec) -> set[str]:
    """Runs whose frames are relabelled without being chosen."""
    return {
        run.id
        for run in sampling_runs(spec.sample, spec.seed)
        if isinstance(run.protocol, ImportSpec) and run.protocol.always
    }
