"""Train: one stage, from the pool's empirical labels or from the frozen dataset."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fw_nnp.core.hashing import content_id
from fw_nnp.core.near_duplicates import near_duplicate_groups
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import StageSpec
from fw_nnp.nnp import Progress, train_stage
from fw_nnp.potentials.setfl import find_baseline
from fw_nnp.store.cache import packed_part

from .base import Context, Unfinished

MAX_POOL_FORCE = 30.0  # eV/Å: closer approaches are the repulsion's business, not the network's
MAX_POOL_VALIDATION = 400


def train(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Train a stage; killed or stopped, the next Firework resumes from its checkpoint."""
    spec = context.spec
    stage = next(s for s in spec.train.stages if s.name == parameters["stage"])
    model, _ = find_baseline(spec.train.model, context.base, context.programs.potentials)
    source, training, validation = _data(context, stage)
    replay_source, replay = _replay(context, stage)
    parent = context.result(f"train-{stage.start_from}")["model"] if stage.start_from else None
    model_id = content_id(
        "mdl",
        {
            "source": source,
            **({"replay": replay_source} if replay else {}),
            "stage": stage.model_dump(mode="json"),
            "model": model.model_dump(mode="json"),
            "parent": parent,
            "seed": spec.train.seed,
        },
    )
    directory = context.directory(model_id)
    torch.set_num_threads(context.cores)
    result = train_stage(
        stage,
        spec.train.model,
        training,
        validation,
        directory,
        seed=spec.train.seed,
        start_from=_parent_file(context, parent, directory),
        replay=replay,
        base=context.base,
        potentials_dir=context.programs.potentials,
        stop=context.stop,
        progress=_reporter(context, stage),
    )
    if result.stopped_early:
        raise Unfinished({"epochs": len(result.history)})
    context.store.add_model(
        model_id,
        result.model_path.read_bytes(),
        {
            "campaign": context.campaign,
            "stage": stage.name,
            "source": source,
            **({"replay": replay_source} if replay else {}),
            "parent": parent,
            "seed": spec.train.seed,
            "training": stage.model_dump(mode="json"),
            "history": result.history,
        },
    )
    return {
        "model": model_id,
        "source": source,
        "n_train": len(training),
        "n_validation": len(validation),
    }


def _data(
    context: Context, stage: StageSpec
) -> tuple[str, Sequence[LabelledConfiguration], Sequence[LabelledConfiguration]]:
    """Id of the source, training and validation data of a stage."""
    store = context.store
    if stage.labels == "high":
        dataset = context.result("collect")["dataset"]
        cache = context.directory("packed")
        parts = (packed_part(store, dataset, part, cache) for part in ("train", "validation"))
        return (dataset, *parts)
    return _pool(context)


def _replay(context: Context, stage: StageSpec) -> tuple[str, list[LabelledConfiguration]]:
    """Id of the source and the empirical labels that a stage on DFT labels replays."""
    if stage.replay is None:
        return "", []
    source, training, _ = _pool(context)
    return source, training


def _pool(
    context: Context,
) -> tuple[str, list[LabelledConfiguration], list[LabelledConfiguration]]:
    """Id of the source, training and validation data of the empirical labels."""
    store = context.store
    theory = context.result("plan")["low_theory"]
    filter_ = {
        "campaign": context.campaign,
        "theory": theory,
        "purpose": "pool",
        "max_force": {"$lt": MAX_POOL_FORCE},
    }
    held_out = context.result("select")["parts"]
    validation, test = set(held_out["validation"]), set(held_out["test"])
    pool = list(store.labels(filter_))
    how: str = context.spec.dataset.split_by
    names = [i.trajectory if how == "trajectory" else i.configuration.id for i in pool]
    near = how == "near_duplicates"
    groups = near_duplicate_groups([i.configuration for i in pool]) if near else names
    # whatever shares a group with something held out is held out, too
    kept_back = {g for g, n in zip(groups, names, strict=True) if n in validation | test}
    taught = [item for item, g in zip(pool, groups, strict=True) if g not in kept_back]
    checks = [item for item, n in zip(pool, names, strict=True) if n in validation]
    source = store.freeze_dataset(
        f"{context.campaign}-pool",
        theories=[theory],
        split={
            "train": [item.label.id for item in taught],
            "validation": [item.label.id for item in checks],
        },
        recipe={
            "query": f"campaign={context.campaign} theory={theory} purpose=pool "
            f"max_force<{MAX_POOL_FORCE}",
            "split_by": [context.spec.dataset.split_by],
            "fractions": list(context.spec.dataset.fractions),
            "seed": context.spec.dataset.seed,
        },
    )
    return source, taught, checks[:: max(1, len(checks) // MAX_POOL_VALIDATION)]


def _parent_file(context: Context, parent: str | None, directory: Path) -> Path | None:
    if parent is None:
        return None
    path = directory / "parent.pt"
    if not path.exists():
        partial = path.with_suffix(".part")
        partial.write_bytes(context.store.model_data(parent))
        partial.replace(path)
    return path


def _reporter(context: Context, stage: StageSpec) -> Any:
    last = 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            context.store.put_progress(
                context.campaign,
                context.key,
                {"done": progress.epoch, "of": stage.epochs, "fraction": progress.fraction},
            )

    return report
