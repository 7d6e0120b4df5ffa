"""Members of a committee that are trained apart: in processes of this machine, or anywhere.

What they become is the same model file as if they had been trained in one pass: moments are
summed once for all members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import Manager, get_context
from pathlib import Path
from queue import Empty, Queue
from typing import Any, cast

import torch
from torch import Tensor, nn

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import AnyModelSpec, ModelSpec, StageSpec

from .artefact import build, load_model, model_id, read_card, save_model
from .heads import Heads
from .members import with_members
from .moments import Moments
from .progress import Progress, StageResult
from .trainer import train_stage

POLL_SECONDS = 0.2


def train_apart(
    stage: StageSpec,
    model: AnyModelSpec,
    training: Sequence[LabelledConfiguration],
    validation: Sequence[LabelledConfiguration],
    directory: Path,
    *,
    seed: int,
    start_from: Path | None = None,
    progress: Callable[[float, Progress], None] = lambda fraction, newest: None,
    **others: Any,
) -> list[StageResult]:
    """Train each member of the committee in a process of its own, then join them.

    The processes share the threads that this one has.

    Parameters
    ----------
    stage, model, training, validation, others
        As `train_stage` takes them.
    directory
        Gets ``member-1``, ``member-2`` ..., and the committee as ``model.pt``.
    seed
        Of the first member; the others count on from it.
    start_from
        A committee that this function left; each member goes on from its own.
    progress
        Told how much of the whole is done, and the newest that a member said.

    Returns
    -------
    list of StageResult
        One for each member.
    """
    spec = _of_moments(with_members(model, stage, training, start_from))
    members = spec.n_members
    if members == 1:
        raise SpecError(
            "a single member cannot be spread",
            place="model.members",
            remedy="say how many, for example members: 4",
        )
    alone = spec.model_copy(update={"members": 1})
    threads = max(1, torch.get_num_threads() // members)
    names = [f"member-{number}" for number in range(1, members + 1)]
    with (
        Manager() as manager,
        ProcessPoolExecutor(members, mp_context=get_context("spawn")) as pool,
    ):
        news = manager.Queue()
        running: list[Future[StageResult]] = [
            pool.submit(
                _train_member,
                news,
                index,
                threads,
                (stage, alone, training, validation, directory / name),
                {
                    "seed": seed + index,
                    "start_from": start_from and start_from.parent / name / "model.pt",
                    **others,
                },
            )
            for index, name in enumerate(names)
        ]
        _watch(running, news, progress)
        results = [member.result() for member in running]
    join_committee([result.model_path for result in results], directory / "model.pt")
    return results


def _train_member(
    news: Queue[tuple[int, Progress]],
    index: int,
    threads: int,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
) -> StageResult:
    torch.set_num_threads(threads)
    return train_stage(*arguments, **keywords, progress=lambda told: news.put((index, told)))


def _watch(
    running: Sequence[Future[StageResult]],
    news: Queue[tuple[int, Progress]],
    progress: Callable[[float, Progress], None],
) -> None:
    """Hand on what the members tell, until all are done or one has failed."""
    fractions = [0.0] * len(running)
    while not all(member.done() for member in running):
        try:
            index, told = news.get(timeout=POLL_SECONDS)
        except Empty:
            if any(member.done() and member.exception() for member in running):
                return
            continue
        fractions[index] = told.fraction
        progress(sum(fractions) / len(fractions), told)


def join_committee(paths: Sequence[Path], result: Path) -> None:
    """Write one model file whose members are the models at `paths`, in order.

    They may have been trained anywhere, on different data; what a committee shares (radial
    functions, reference energies) is put into what each member has of its own.

    Raises
    ------
    SpecError
        Less than two, or models of different architectures or elements.
    """
    if len(paths) < 2:
        raise SpecError("a committee has at least two members", remedy="name more model files")
    models = [load_model(path).double() for path in paths]
    first = models[0]
    alone = [_of_moments(model.spec).model_copy(update={"members": 1}) for model in models]
    for path, model, spec in zip(paths, models, alone, strict=True):
        if spec != alone[0] or model.elements != first.elements:
            raise SpecError(
                f"not of the architecture and elements of {paths[0]}",
                place=str(path),
                remedy="join models that were trained with the same 'model' on the same elements",
            )
    count = sum(_of_moments(model.spec).n_members for model in models)
    spec = alone[0].model_copy(update={"members": count})
    tables = first.fixed.eam.tables if first.fixed.eam else None
    committee = cast(Moments, build(spec, first.elements, 0, tables).double())
    _fill(committee, [cast(Moments, model) for model in models])
    save_model(result, committee.set_precision("single"), _history(paths))


@torch.no_grad()
def _fill(committee: Moments, models: Sequence[Moments]) -> None:
    """Copy what the members have, in float64."""
    shared = models[0].conditioner
    committee.conditioner.copy_(shared)
    committee.mean.copy_(torch.cat([model.mean for model in models], dim=1))
    committee.deviation.copy_(torch.cat([model.deviation for model in models], dim=1))
    committee.reference.copy_(torch.stack([model.reference for model in models]).mean(0))
    for model in models:
        # contractions are of the member's own orthonormal functions, which differ a little
        turn = model.conditioner @ torch.linalg.inv(shared)
        for learned in model.contractions():
            blocks = learned.unflatten(2, (len(model.elements), -1))
            learned.copy_((blocks @ turn).flatten(2))
        rest = (model.reference - committee.reference).view(-1, len(model.elements))
        for index, symbol in enumerate(model.elements):
            outputs = _outputs(cast(nn.Sequential, model.network[symbol])[-1])
            for own, layer in zip(rest, outputs, strict=True):
                cast(Tensor, layer.bias).add_(own[index])
    names = dict(committee.named_parameters())
    parts = [dict(model.named_parameters()) for model in models]
    for name, parameter in names.items():
        parameter.copy_(torch.cat([part[name] for part in parts]))


def _outputs(last: nn.Module) -> list[nn.Module]:
    """The output layers of a network, one for each head."""
    return list(last.values()) if isinstance(last, Heads) else [last]


def _of_moments(spec: AnyModelSpec) -> ModelSpec:
    if not isinstance(spec, ModelSpec):
        raise SpecError(
            f"models of kind '{spec.kind}' have no members",
            place="model.kind",
            remedy="train a committee of kind moments",
        )
    return spec


def _history(paths: Sequence[Path]) -> dict[str, Any]:
    """The training summary of the committee: what all members have in common, and their ids."""
    summaries = [read_card(path)["training"] for path in paths]
    common = {
        key: value
        for key, value in summaries[0].items()
        if key not in ("identity", "errors", "movement")
        and all(one.get(key) == value for one in summaries)
    }
    apart = {key: [one.get(key) for one in summaries] for key in ("seed", "best_epoch", "parent")}
    complete = all(one.get("complete") for one in summaries)
    joined = [model_id(path) for path in paths]
    return {**apart, **common, "complete": complete, "joined": joined}
