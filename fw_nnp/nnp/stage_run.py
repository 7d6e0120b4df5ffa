"""One stage under way: steps, validation, checkpoints that a killed run goes on from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import fw_nnp
from fw_nnp.core.errors import Diverged
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import AnyModelSpec, StageSpec
from fw_nnp.potentials.setfl import Setfl

from . import checkpoint
from .artefact import build, load_model, model_id, read_card, save_model
from .data import Cell, CellSet, read_cell, sample_of, shuffled, total_errors
from .heads import hold, inherit, used_by
from .loss import QUANTITIES, Errors, unusable
from .movement import Report, movement
from .objective import objective
from .optimizers import make_optimizer
from .parameters import joined, write
from .progress import Clock, Counters, Progress, StageResult
from .replay import on_the_new_scale, replayed, replayed_per_step
from .schedule import fraction_done, learning_rate, weight_decay
from .stress_offset import ASKED_AT, find_offset
from .training_data import describe
from .transfer import freeze, groups_of, refit_energies, take_over

CHECKPOINT_SECONDS = 10.0
"""A checkpoint is written after an epoch if the last one is older than this."""


class StageRun:
    """One stage under way: model, optimiser, average, counters."""

    def __init__(
        self, stage: StageSpec, directory: Path, identity: dict[str, str], seed: int
    ) -> None:
        self.stage = stage
        self.directory = directory
        self.identity = identity
        self.seed = seed
        self.counters = Counters()
        self.squares = torch.zeros(3).double()  # errors of the epoch so far
        self.counts = torch.zeros(3).double()

    # ------------------------------------------------------------ start

    def set_up(
        self,
        spec: AnyModelSpec,
        training: Sequence[LabelledConfiguration],
        validation: Sequence[LabelledConfiguration],
        start_from: Path | None,
        replay: Sequence[LabelledConfiguration],
        baseline: Setfl | None,
    ) -> None:
        """Model, cells, optimiser; then the checkpoint's state, if there is one."""
        stored = checkpoint.resume(self.directory, self.identity)
        elements = sorted({e for item in training for e in item.configuration.elements})
        if start_from is None:
            self.model = build(spec, elements, self.seed, baseline)
        else:
            self.model = take_over(start_from, spec, elements)
        self._find_heads(start_from)
        self.parent = model_id(start_from) if start_from else ""
        self.data = describe(training)
        self.start_from = start_from
        reference = self.model.reference.clone()
        self.model.train()
        anchors = [p.detach().clone() for p in self.model.parameters()]
        if start_from is None:
            anchors = [torch.zeros_like(anchor) for anchor in anchors]
        cells = [read_cell(self.model, item, self.stage.weights) for item in training]
        if stored is not None:
            self.model.load_state_dict(stored["model"])
        elif start_from is None:
            self.model.adapt(sample_of(cells, self.seed))
        self.training = CellSet(cells, self.own_head)
        self.validation = CellSet(
            [read_cell(self.model, item, self.stage.weights) for item in validation],
            self.own_head,
        )
        if stored is None and (start_from is None or self.stage.refit_energies):
            refit_energies(self.model, self.training, self.stage.batch_size)
        again = [read_cell(self.model, item, self.stage.weights) for item in replay]
        if self.own_head:
            self.replay = CellSet(again, self.low_head)
            if stored is None and replay and self.low_head in self.new_heads:
                refit_energies(self.model, self.replay, self.stage.batch_size)
        else:
            self.replay = on_the_new_scale(again, self.model.reference - reference)
        freeze(self.model, self.stage.freeze)
        hold(self.model, [self.own_head, self.low_head] if replay else [self.own_head])
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.anchors = [
            a for a, p in zip(anchors, self.model.parameters(), strict=True) if p.requires_grad
        ]
        atoms = sum(cell.batch.n_atoms for cell in cells)
        groups = groups_of(self.model, self.stage.learning_rates)
        factors = {id(p): group["factor"] for group in groups for p in group["params"]}
        rough, smooth = self.model.roughness(), torch.zeros((), dtype=torch.float64)
        self.pulls = [
            factors[id(p)] * weight_decay(self.stage, atoms, rough.get(name, smooth))
            for name, p in self.model.named_parameters()
            if p.requires_grad
        ]
        self.optimizer = make_optimizer(self.stage.optimizer, groups, self.stage.learning_rate)
        self.average = joined(self.parameters)
        self.best = self.average.clone()
        if stored is not None:
            self._restore(stored)
        elif self.stage.stress_offset is not None:
            self.counters.asked = len(ASKED_AT)
            self.counters.stress_offset = self.stage.stress_offset
        elif not (self.stage.weights.energy and self.stage.weights.stress):
            self.counters.asked = len(ASKED_AT)  # a model that has not learned both cannot tell
        self._take_off(self.counters.stress_offset)

    def _find_heads(self, start_from: Path | None) -> None:
        """Which heads this stage trains; a new one starts as the last that was trained."""
        spec = self.model.spec
        self.own_head, self.low_head = used_by(self.stage, spec)
        trained = read_card(start_from)["training"].get("heads", []) if start_from else []
        used = {self.own_head, self.low_head if self.stage.replay else self.own_head} - {""}
        self.new_heads = used - set(trained)
        for head in self.new_heads if trained else ():
            inherit(self.model, head, from_head=trained[-1])
            heir, giver = spec.heads.index(head), spec.heads.index(trained[-1])
            self.model.reference[heir] = self.model.reference[giver]
        self.heads = [head for head in spec.heads if head in {*trained, *used}]

    def _restore(self, stored: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(stored["optimizer"])
        self.average.copy_(stored["average"])
        self.best.copy_(stored["best"])
        self.squares.copy_(stored["squares"])
        self.counts.copy_(stored["counts"])
        self.counters = Counters(**json.loads(stored["counters"]))

    def save(self) -> None:
        """Write the whole state, so that training goes on as if nothing had happened."""
        checkpoint.save(
            self.directory / checkpoint.NAME,
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
        clock = Clock(self.counters)
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

    def _epoch(self, clock: Clock, stop: Callable[[], bool]) -> bool:
        """The rest of the current epoch; returns whether `stop` cut it short."""
        counters = self.counters
        again = replayed_per_step(self.stage)
        own = self.stage.batch_size - again
        batches = shuffled(len(self.training), own, self.seed, counters.epoch)
        extra = replayed(len(self.replay), again, len(batches), self.seed, counters.epoch)
        for indices, more in list(zip(batches, extra, strict=True))[counters.step_in_epoch :]:
            clock.tick()
            epochs = counters.epoch + counters.step_in_epoch / len(batches)
            fraction = fraction_done(self.stage, epochs, counters.wall_s)
            if fraction >= 1.0:
                break
            self._ask_for_offset(fraction)
            self._step(indices, more, learning_rate(self.stage, counters.step, fraction))
            counters.step += 1
            counters.step_in_epoch += 1
            if stop():
                return True
        return False

    def _step(self, indices: list[int], more: list[int], rate: float) -> None:
        value, done = self._loss(self.training, indices)
        if self.stage.replay is not None:
            value = value + self.stage.replay.weight * self._loss(self.replay, more)[0]
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad()
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.stage.clip)
        if not torch.isfinite(norm):
            cells = [self.training.cells[i] for i in indices]
            cells += [self.replay.cells[i] for i in more]
            raise self._diverged(cells)
        self.optimizer.step()
        with torch.no_grad():
            for parameter, anchor, pull in zip(
                self.parameters, self.anchors, self.pulls, strict=True
            ):
                parameter.lerp_(anchor, (rate * pull).to(parameter.dtype))
        decay = min(self.stage.ema, (1 + self.counters.step) / (10 + self.counters.step))
        self.average.lerp_(joined(self.parameters), 1.0 - decay)
        self.squares += done.squares
        self.counts += done.counts

    def _take_off(self, offset: float) -> None:
        """From now on, stress labels count without this constant, GPa."""
        self.counters.stress_offset = offset
        self.training.stress_offset = self.validation.stress_offset = offset

    def _ask_for_offset(self, fraction: float) -> None:
        """Now and then: whether stress labels have a constant that the energies contradict."""
        counters = self.counters
        if counters.asked == len(ASKED_AT) or fraction < ASKED_AT[counters.asked]:
            return
        raw = joined(self.parameters)
        write(self.parameters, self.average)
        found = find_offset(self.model, self.training)
        write(self.parameters, raw)
        if counters.asked or found.is_sure:
            counters.asked += 1
            self._take_off(found.offset)
            counters.best_score = float("inf")  # those of before counted stresses otherwise
        else:
            counters.asked = len(ASKED_AT)

    def _loss(self, cells: CellSet, indices: list[int]) -> tuple[Tensor, Errors]:
        """What some cells add to the loss, and their errors."""
        batch, targets = cells.take(indices)
        self.model.use_head(cells.head)
        value, found = objective(self.model, batch, targets, self.stage.weights)
        if not torch.isfinite(value):
            with torch.no_grad():
                prediction = self.model.members(batch)
            bad = unusable(prediction, targets, batch.structure) or range(len(indices))
            raise self._diverged([cells.cells[indices[i]] for i in bad])
        return value, found

    def _diverged(self, cells: list[Cell]) -> Diverged:
        ids = [cell.configuration_id for cell in cells]
        return Diverged(
            f"the loss is not finite at epoch {self.counters.epoch + 1}, "
            f"step {self.counters.step + 1}, with {', '.join(ids)}",
            place=self.stage.name,
            remedy="look at these labels; otherwise lower learning_rate or clip",
        )

    def _end_epoch(self, clock: Clock) -> None:
        counters, stage = self.counters, self.stage
        train = Errors(squares=self.squares, counts=self.counts)
        check = self._validate() if len(self.validation) else train
        score = check.score(stage.weights)
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
        first = self.optimizer.param_groups[0]
        record: dict[str, Any] = {
            "epoch": self.counters.epoch,
            "seconds": round(self.counters.wall_s, 3),
            "learning_rate": first["lr"] / first["factor"],
        }
        record |= {f"train_{name}": value for name, value in train.rmse().items()}
        validated = check.rmse() if len(self.validation) else dict.fromkeys(QUANTITIES)
        record |= {f"validation_{name}": value for name, value in validated.items()}
        return record

    @torch.no_grad()
    def _validate(self) -> Errors:
        """Errors of the averaged weights on the validation cells."""
        raw = joined(self.parameters)
        write(self.parameters, self.average)
        found = total_errors(self.model, self.validation)
        write(self.parameters, raw)
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
        raw = joined(self.parameters)
        write(self.parameters, self.best if counters.best_epoch else self.average)
        moved = self._movement()
        summary = {
            "stage": self.stage.model_dump(mode="json"),
            "seed": self.seed,
            "identity": self.identity,
            "parent": self.parent,
            "data": self.data,
            "validation_cells": len(self.validation),
            "versions": {"fw_nnp": fw_nnp.__version__, "torch": torch.__version__},
            "best_epoch": counters.best_epoch,
            "stress_offset": counters.stress_offset,
            "errors": counters.history[counters.best_epoch - 1] if counters.history else {},
            "complete": not stopped,
            "movement": moved,
            "heads": self.heads,
        }
        save_model(path, self.model, summary)
        write(self.parameters, raw)
        return StageResult(
            model_path=path,
            history=counters.history,
            best_epoch=counters.best_epoch,
            stopped_early=stopped,
            movement=moved,
            stress_offset=counters.stress_offset,
            wall_s=counters.wall_s,
            core_s=counters.core_s,
        )

    def _movement(self) -> Report:
        """How far the model is from the one that it started from; also ``movement.json``."""
        if self.start_from is None:
            return {}
        self.model.use_head(self.own_head)
        before = load_model(self.start_from)
        before.use_head(self.own_head)
        found = movement(before, self.model, sample_of(self.training.cells, self.seed))
        text = json.dumps(found, indent=2, ensure_ascii=False)
        (self.directory / "movement.json").write_text(text, encoding="utf-8")
        return found
