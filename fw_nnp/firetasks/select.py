"""Select: choose the frames to relabel, cut them into chunks, fix which trajectory tests what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from fw_nnp.core.splits import split
from fw_nnp.sampling.select import select_frames

from .base import Context


def select(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Freeze the selection.

    The parts of the split are fixed here, by trajectory, so that pre-training can leave out
    the trajectories that will test the potential.
    """
    spec, store = context.spec, context.store
    low = context.result("plan")["low_theory"]
    pool = list(store.labelled({"campaign": context.campaign, "theory": low, "purpose": "pool"}))
    frames = store.frames_of([item.configuration.id for item in pool])
    labels = [item.label for item in pool]
    chosen = select_frames(frames, labels, spec.select, spec.seed)
    order = np.random.default_rng(spec.seed).permutation(len(chosen))
    chosen = [chosen[i] for i in order]  # chunks of equal cost, every phase in each
    size = spec.relabel.chunk_size
    chunks = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    store.add_chunks(context.campaign, chunks)
    selected = store.frames_of(chosen)
    parts = split(selected, spec.dataset.fractions, spec.dataset.seed, spec.dataset.split_by)
    return {
        "n_pool": len(pool),
        "n_selected": len(chosen),
        "n_chunks": len(chunks),
        "phases": dict(Counter(frame.phase for frame in selected)),
        "parts": {
            name: sorted({_group(frame, spec.dataset.split_by) for frame in part})
            for name, part in zip(("train", "validation", "test"), parts, strict=True)
        },
    }


def _group(frame: Any, by: str) -> str:
    return frame.trajectory if by == "trajectory" else frame.configuration.id
