"""Train one stage: steps, validation, checkpoints that a killed run goes on from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import CheckpointMismatch, Diverged, TrainingError
from ..core.hashing import canonical_json, digest
from ..core.records import LabelledConfiguration
from ..core.specs import ModelSpec, StageSpec
from . import checkpoint
from .artefact import build, save_model
from .batch import AtomBatch, join, structures
from .data import Cell, CellSet, read_cell, shuffled
from .loss import QUANTITIES, Errors, Targets, errors, unusable
from .potential import Potential, Prediction
from .schedule import fraction_done, learning_rate
from .transfer import freeze, refit_energies, take_over

CHECKPOINT_SECONDS = 10.0
"""A checkpoint is written after an epoch if the last one is older than this."""
VALIDATION_ATOMS = 512
ADAPT_CELLS = 64
WEIGHT_DECAY = 1e-5


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a running stage is, for progress bars.

    `fraction` is between 0 and 1; `record` is the history's last entry.
    """

    stage: str
    epoch: int
    fraction: float
    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage of training left.

    Attributes
    ----------
    model_path
        The model with the best validation score, averaged weights.
    history
        Per epoch: epoch, seconds, learning_rate, and train_ and validation_ root mean square
        errors of energy (meV/atom), forces (meV/Å), stress (GPa); None where not labelled.
    best_epoch
        Epoch of the model; 0 is the start.
    stopped_early
        Whether `stop` ended it before its time; the same call goes on.
    wall_s, core_s
        Seconds over all runs of the stage.
    """

    model_path: Path
    history: list[dict[str, Any]]
    best_epoch: int
    stopped_early: bool
    wall_s: float
    core_s: float


@dataclass(kw_only=True)
class _Counters:
    """The plain numbers of a training state."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    wall_s: float = 0.0
    core_s: float = 0.0
    best_score: float = float("inf")
    best_epoch: int = 0
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


def train_stage(
    stage: StageSpec,
    model: ModelSpec,
    training: Sequence[LabelledConfiguration],
    validation: Sequence[LabelledConfiguration],
    directory: Path,
    *,
    seed: int,
    start_from: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Progress], None] | None = None,
) -> StageResult:
    """Train `model` on the labels of one stage and leave ``model.pt`` in `directory`.

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
    if not training:
        raise TrainingError("no labelled configurations to train on", place=stage.name)
    if (stage.start_from is None) != (start_from is None):
        raise TrainingError(
            f"the stage starts from '{stage.start_from}' and the file given is {start_from}",
            place=stage.name,
            remedy="give the model file of that stage as start_from",
        )
    directory.mkdir(parents=True, exist_ok=True)
    identity = _identity(stage, model, training, validation, seed, start_from)
    run = _Stage(stage, directory, identity, seed)
    run.set_up(model, training, validation, start_from)
    return run.train(stop, progress)


def _identity(
    stage: StageSpec,
    model: ModelSpec,
    training: Sequence[LabelledConfiguration],
    validation: Sequence[LabelledConfiguration],
    seed: int,
    start_from: Path | None,
) -> dict[str, str]:
    """What a checkpoint belongs to, part by part so that a message can name what differs."""
    return {
        "stage": digest(canonical_json(stage.model_dump(mode="json"))),
        "model": digest(canonical_json(model.model_dump(mode="json"))),
        "training labels": _digest_labels(training),
        "validation labels": _digest_labels(validation),
        "seed": str(seed),
        "starting model": digest(start_from.read_bytes()) if start_from else "",
    }


def _digest_labels(items: Sequence[LabelledConfiguration]) -> str:
    parts: list[bytes | str] = []
    for item in items:
        parts += [item.label.id, repr(item.label.energy)]
        for array in (item.label.forces, item.label.stress):
            parts.append(b"" if array is None else array.tobytes())
    return digest(*parts)


class _Stage:
    """One stage under way: model, optimiser, average, counters."""

    def __init__(
        self, stage: StageSpec, directory: Path, identity: dict[str, str], seed: int
    ) -> None:
        self.stage = stage
        self.directory = directory
        self.identity = identity
        self.seed = seed
        self.counters = _Counters()
        self.squares = torch.zeros(3).double()  # errors of the epoch so far
        self.counts = torch.zeros(3).double()

    # ------------------------------------------------------------ start

    def set_up(
        self,
        spec: ModelSpec,
        training: Sequence[LabelledConfiguration],
        validation: Sequence[LabelledConfiguration],
        start_from: Path | None,
    ) -> None:
        """Model, cells, optimiser; then the checkpoint's state, if there is one."""
        stored = self._stored()
        elements = sorted({e for item in training for e in item.configuration.elements})
        if start_from is None:
            self.model = build(spec, elements, self.seed)
        else:
            self.model = take_over(start_from, spec, elements)
        self.model.train()
        cells = [read_cell(self.model, item) for item in training]
        if stored is not None:
            self.model.load_state_dict(stored["model"])
        elif start_from is None:
            self.model.adapt(_sample(cells, self.seed, self.model.cutoff))
        self.training = CellSet(self.model, cells)
        self.validation = CellSet(self.model, [read_cell(self.model, i) for i in validation])
        if stored is None and (start_from is None or self.stage.refit_energies):
            refit_energies(self.model, self.training, self.stage.batch_size)
        freeze(self.model, self.stage.freeze)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.stage.learning_rate, weight_decay=WEIGHT_DECAY, fused=True
        )
        self.average = _joined(self.parameters)
        self.best = self.average.clone()
        if stored is not None:
            self._restore(stored)

    def _stored(self) -> dict[str, Any] | None:
        path = self.directory / "checkpoint.pt"
        if not path.exists():
            return None
        content = checkpoint.load(path)
        theirs = content.get("identity", {})
        differing = [name for name, value in self.identity.items() if theirs.get(name) != value]
        if differing:
            raise CheckpointMismatch(
                f"the checkpoint belongs to another training: {', '.join(differing)} differ",
                place=str(path),
                remedy="choose another directory, or delete the checkpoint to start afresh",
            )
        return content

    def _restore(self, stored: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(stored["optimizer"])
        self.average.copy_(stored["average"])
        self.best.copy_(stored["best"])
        self.squares.copy_(stored["squares"])
        self.counts.copy_(stored["counts"])
        self.counters = _Counters(**json.loads(stored["counters"]))

    def save(self) -> None:
        """Write the whole state, so that training goes on as if nothing had happened."""
        checkpoint.save(
            self.directory / "checkpoint.pt",
            {
                "kind": "checkpoint",
                "identity": self.identity,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average,
                "best": self.best,
                "squares": self.squares,
                "counts": self.counts,
                "counters": json.dumps(asdict(self.counters)),
            },
        )

    # ------------------------------------------------------------ run

    def train(
        self, stop: Callable[[], bool], progress: Callable[[Progress], None] | None
    ) -> StageResult:
        """Epochs until the schedule ends, patience runs out or `stop` says so."""
        clock = _Clock(self.counters)
        saved = time.monotonic()
        stopped = False
        while not self.counters.finished and not stopped:
            stopped = self._epoch(clock, stop)
            if not stopped:
                self._end_epoch(clock)
                if progress is not None:
                    progress(self._progress())
            if stopped or self.counters.finished or time.monotonic() - saved > CHECKPOINT_SECONDS:
                clock.tick()
                self.save()
                saved = time.monotonic()
        return self._result(stopped)

    def _epoch(self, clock: _Clock, stop: Callable[[], bool]) -> bool:
        """The rest of the current epoch; returns whether `stop` cut it short."""
        counters = self.counters
        batches = shuffled(len(self.training), self.stage.batch_size, self.seed, counters.epoch)
        for indices in batches[counters.step_in_epoch :]:
            clock.tick()
            epochs = counters.epoch + counters.step_in_epoch / len(batches)
            fraction = fraction_done(self.stage, epochs, counters.wall_s)
            if fraction >= 1.0:
                break
            self._step(indices, learning_rate(self.stage, counters.step, fraction))
            counters.step += 1
            counters.step_in_epoch += 1
            if stop():
                return True
        return False

    def _step(self, indices: list[int], rate: float) -> None:
        batches, targets = self.training.take(indices)
        prediction = self.model(batches)
        found = errors(prediction, targets)
        loss = found.loss(self.stage.weights)
        if not torch.isfinite(loss):
            raise self._diverged(indices, prediction, targets, structures(batches))
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.stage.clip)
        if not torch.isfinite(norm):
            raise self._diverged(indices, prediction, targets, structures(batches))
        self.optimizer.step()
        decay = min(self.stage.ema, (1 + self.counters.step) / (10 + self.counters.step))
        self.average.lerp_(_joined(self.parameters), 1.0 - decay)
        self.squares += found.squares.detach()
        self.counts += found.counts

    def _diverged(
        self, indices: list[int], prediction: Prediction, targets: Targets, structure: Tensor
    ) -> Diverged:
        bad = unusable(prediction, targets, structure) or range(len(indices))
        ids = [self.training.cells[indices[i]].configuration_id for i in bad]
        return Diverged(
            f"the loss is not finite at epoch {self.counters.epoch + 1}, "
            f"step {self.counters.step + 1}, with {', '.join(ids)}",
            place=self.stage.name,
            remedy="look at these labels; otherwise lower learning_rate or clip",
        )

    def _end_epoch(self, clock: _Clock) -> None:
        counters, stage = self.counters, self.stage
        train = Errors(squares=self.squares, counts=self.counts)
        check = self._validate() if len(self.validation) else train
        score = float(check.loss(stage.weights))
        counters.epoch += 1
        counters.step_in_epoch = 0
        clock.tick()
        counters.history.append(self._record(train, check))
        if score < counters.best_score:
            counters.best_score, counters.best_epoch = score, counters.epoch
            self.best.copy_(self.average)
        waited = counters.epoch - counters.best_epoch
        counters.finished = fraction_done(stage, counters.epoch, counters.wall_s) >= 1.0 or (
            stage.patience is not None and waited >= stage.patience
        )
        self.squares.zero_()
        self.counts.zero_()

    def _record(self, train: Errors, check: Errors) -> dict[str, Any]:
        record: dict[str, Any] = {
            "epoch": self.counters.epoch,
            "seconds": round(self.counters.wall_s, 3),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }
        record |= {f"train_{name}": value for name, value in train.rmse().items()}
        validated = check.rmse() if len(self.validation) else dict.fromkeys(QUANTITIES)
        record |= {f"validation_{name}": value for name, value in validated.items()}
        return record

    @torch.no_grad()
    def _validate(self) -> Errors:
        """Errors of the averaged weights on the validation cells."""
        raw = _joined(self.parameters)
        _write(self.parameters, self.average)
        found = total_errors(self.model, self.validation)
        _write(self.parameters, raw)
        return found

    def _progress(self) -> Progress:
        counters = self.counters
        return Progress(
            stage=self.stage.name,
            epoch=counters.epoch,
            fraction=fraction_done(self.stage, counters.epoch, counters.wall_s),
            record=counters.history[-1],
        )

    def _result(self, stopped: bool) -> StageResult:
        """Write the best model and say what happened."""
        counters = self.counters
        path = self.directory / "model.pt"
        raw = _joined(self.parameters)
        _write(self.parameters, self.best if counters.best_epoch else self.average)
        summary = {
            "stage": self.stage.model_dump(mode="json"),
            "seed": self.seed,
            "identity": self.identity,
            "cells": len(self.training),
            "best_epoch": counters.best_epoch,
            "errors": counters.history[counters.best_epoch - 1] if counters.history else {},
            "complete": not stopped,
        }
        save_model(path, self.model, summary)
        _write(self.parameters, raw)
        return StageResult(
            model_path=path,
            history=counters.history,
            best_epoch=counters.best_epoch,
            stopped_early=stopped,
            wall_s=counters.wall_s,
            core_s=counters.core_s,
        )


class _Clock:
    """Adds the time since the last tick to the counters."""

    def __init__(self, counters: _Counters) -> None:
        self._counters = counters
        self._wall, self._core = time.monotonic(), time.process_time()

    def tick(self) -> None:
        wall, core = time.monotonic(), time.process_time()
        self._counters.wall_s += wall - self._wall
        self._counters.core_s += core - self._core
        self._wall, self._core = wall, core


def total_errors(model: Potential, cells: CellSet) -> Errors:
    """Errors over a whole set."""
    largest = max(cell.batch.n_atoms for cell in cells.cells)
    squares, counts = torch.zeros(3).double(), torch.zeros(3).double()
    for batches, targets in cells.in_order(max(1, VALIDATION_ATOMS // largest)):
        found = errors(model(batches), targets)
        squares += found.squares.detach()
        counts += found.counts
    return Errors(squares=squares, counts=counts)


def _sample(cells: list[Cell], seed: int, cutoff: float) -> AtomBatch:
    """Some cells joined, for scales and offsets."""
    chosen = np.random.default_rng(seed).permutation(len(cells))[:ADAPT_CELLS]
    return join([cells[i].batch for i in sorted(chosen)], cutoff)


def _joined(parameters: list[torch.nn.Parameter]) -> Tensor:
    """All parameters as one vector, a copy."""
    return torch.cat([p.detach().flatten() for p in parameters])


@torch.no_grad()
def _write(parameters: list[torch.nn.Parameter], vector: Tensor) -> None:
    start = 0
    for parameter in parameters:
        parameter.copy_(vector[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()
