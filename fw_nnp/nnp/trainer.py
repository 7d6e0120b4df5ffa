"""Train one stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fw_nnp.core.errors import TrainingError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import AnyModelSpec, StageSpec
from fw_nnp.potentials.setfl import find_baseline

from .identity import identity_of
from .members import with_members
from .progress import Progress, StageResult
from .stage_run import StageRun


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

    A stage that starts from another leaves ``movement.json`` as well: what moved, and how far.

    Without a time limit the result depends on the arguments only: a run that was killed and
    started again ends with the same bits on a CPU as one that was not. A finished stage is
    returned as it is.

    Parameters
    ----------
    stage, model
        Settings; how many members a committee has may be left out. `stage.start_from` names a
        stage; the file it left is `start_from`.
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
    model = with_members(model, stage, training, start_from)
    directory.mkdir(parents=True, exist_ok=True)
    identity = identity_of(stage, model, training, validation, seed, start_from, replay)
    run = StageRun(stage, directory, identity, seed)
    run.set_up(model, training, validation, start_from, replay, baseline)
    return run.train(stop, progress)


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
