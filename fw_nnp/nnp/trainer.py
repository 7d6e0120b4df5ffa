"""Train one stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fw_nnp.core.errors import TrainingError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import AnyModelSpec, StageSpec
from fw_nnp.potentials.setfl import find_baseline

from . import checkpoint
from .identity import identity_of
from .progress import Progress, StageResult
from .stage_run import StageRun
from .teaching import lessons, n_teachers, stage_of_taught, stage_of_teachers


def train_stage(
    stage: StageSpec,
    model: AnyModelSpec,
    training: Sequence[LabelledConfiguration],
    validation: Sequence[LabelledConfiguration],
    directory: Path,
    *,
    seed: int,
    start_from: Path | None = None,
    replay: Sequence[LabelledConfiguration] = (),
    base: Path = Path(),
    potentials_dir: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Progress], None] | None = None,
) -> StageResult:
    """Train `model` on the labels of one stage and leave ``model.pt`` in `directory`.

    A stage that starts from another leaves ``movement.json`` as well: what moved, and how far. A
    stage with teachers leaves them in ``teachers/model.pt``.

    Without a time limit the result depends on the arguments only: a run that was killed and
    started again ends with the same bits on a CPU as one that was not. A finished stage is
    returned as it is.

    Parameters
    ----------
    stage, model
        Settings. `stage.start_from` names a stage; the file it left is `start_from`.
    training, validation
        Labelled configurations; without validation the training error chooses the model.
    directory
        Made if absent; holds ``checkpoint.pt`` and ``model.pt``.
    seed
        Of the start and of the order of the cells.
    replay
        Labels of the earlier level of theory, where `stage.replay` wants them.
    base, potentials_dir
        Where the file of the model's baseline is looked for.
    stop
        Asked after every step; if true, a checkpoint is written and training returns.
    progress
        Told after every epoch.

    Raises
    ------
    Diverged
        Errors that are not finite, with the configurations that have them.
    CheckpointMismatch
        `directory` holds a checkpoint of other settings, labels or seed.
    TrainingError
        No labels, or the disk is full.
    """
    _check(stage, training, start_from, replay)
    stage = stage.plain(model)
    model, baseline = find_baseline(model, base, potentials_dir)
    directory.mkdir(parents=True, exist_ok=True)
    identity = identity_of(stage, model, training, validation, seed, start_from, replay)
    count = n_teachers(stage, model, training)
    if not count:
        run = StageRun(stage, directory, identity, seed)
        run.set_up(model, training, validation, start_from, replay, baseline)
        return run.train(stop, progress)
    checkpoint.resume(directory, identity)  # refuses another training's before the long part
    committee = train_stage(
        stage_of_teachers(stage),
        model.model_copy(update={"members": count}),
        training,
        validation,
        directory / "teachers",
        seed=seed,
        base=base,
        potentials_dir=potentials_dir,
        stop=stop,
        progress=_part_of(progress, 0.0),
    )
    if committee.stopped_early:
        return committee
    offset = committee.stress_offset
    taught = lessons(committee.model_path, training, seed, offset)
    own = stage_of_taught(stage, len(training), len(taught), offset)
    run = StageRun(own, directory, identity, seed)
    run.set_up(model, training, validation, None, (), baseline, taught)
    result = run.train(stop, _part_of(progress, 0.5))
    return replace(
        result,
        wall_s=committee.wall_s + result.wall_s,
        core_s=committee.core_s + result.core_s,
    )


def _check(
    stage: StageSpec,
    training: Sequence[LabelledConfiguration],
    start_from: Path | None,
    replay: Sequence[LabelledConfiguration],
) -> None:
    """Refuse data that are not what the stage is about."""
    if not training:
        raise TrainingError("no labelled configurations to train on", place=stage.name)
    if (stage.start_from is None) != (start_from is None):
        raise TrainingError(
            f"the stage starts from '{stage.start_from}' and the file given is {start_from}",
            place=stage.name,
            remedy="give the model file of that stage as start_from",
        )
    if (stage.replay is None) == bool(replay):
        raise TrainingError(
            f"the stage replays {'nothing' if stage.replay is None else 'labels'} "
            f"and {len(replay)} labels to replay are given",
            place=stage.name,
            remedy="give low-fidelity labels to the stages that replay them, and to no others",
        )


def _part_of(
    progress: Callable[[Progress], None] | None, start: float
) -> Callable[[Progress], None] | None:
    """The same, told by one of two halves of a stage."""
    if progress is None:
        return None
    return lambda told: progress(replace(told, fraction=start + 0.5 * told.fraction))
