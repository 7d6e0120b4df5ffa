"""What a stage of transfer moved, and how far."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .batch import AtomBatch
from .compiled import plain_torch
from .potential import Potential

Report = dict[str, dict[str, float | None]]


@torch.no_grad()
def movement(before: Potential, after: Potential, batch: AtomBatch) -> Report:
    """Changes between two models of one architecture.

    Returns
    -------
    dict
        ``parameters``: |new - old| / |old| per tensor, None where the old one was zero and the
        new one is not; ``layers``: root mean square of what a layer now answers differently to
        the inputs that it had in `before` for the atoms of `batch`, over that of its answers
        then; ``reference``: eV per element that the zero of energy moved.
    """
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    start = reference_energies(before)
    return {
        "parameters": {name: _ratio(new[name] - old[name], old[name]) for name in old},
        "layers": _layers(before, after, batch),
        "reference": {name: e - start[name] for name, e in reference_energies(after).items()},
    }


def reference_energies(model: Potential) -> dict[str, float]:
    """eV by ``SYMBOL``, or by ``HEAD.SYMBOL`` where there are heads."""
    names = [f"{head}.{e}" for head in model.spec.heads for e in model.elements]
    values = model.reference.flatten().tolist()
    return dict(zip(names or model.elements, values, strict=True))


def _layers(before: Potential, after: Potential, batch: AtomBatch) -> dict[str, float | None]:
    """Every module with parameters of its own that is called on the way to the energies."""
    changes: dict[str, list[Tensor]] = {}
    answers: dict[str, list[Tensor]] = {}
    twins = dict(after.named_modules())
    hooks = []

    def listen(name: str, module: nn.Module) -> None:
        def hear(_: nn.Module, inputs: tuple[Any, ...], answer: Tensor) -> None:
            answers.setdefault(name, []).append(answer.flatten())
            changes.setdefault(name, []).append((twins[name](*inputs) - answer).flatten())

        hooks.append(module.register_forward_hook(hear))

    for name, module in before.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            listen(name, module)
    try:
        with plain_torch():
            before.atomic_energies(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _ratio(torch.cat(changes[name]), torch.cat(answers[name])) for name in answers}


def _ratio(change: Tensor, start: Tensor) -> float | None:
    """Of the norms; 0 where nothing moved."""
    moved = float(change.double().norm())
    if moved == 0.0:
        return 0.0
    return moved / float(start.double().norm()) if start.any() else None
