"""What a stage takes over from an earlier one, and what it holds fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

from fw_nnp.core.errors import SpecError
from fw_nnp.core.registry import did_you_mean
from fw_nnp.core.specs import AnyModelSpec

from .artefact import load_model
from .data import CellSet
from .potential import Potential


def take_over(path: Path, spec: AnyModelSpec, elements: Sequence[str]) -> Potential:
    """The model at `path` to go on from; its architecture must be `spec`.

    Raises
    ------
    SpecError
        Another architecture, or elements that it does not know.
    """
    model = load_model(path)
    if model.spec != spec:
        theirs, ours = model.spec.model_dump(), spec.model_dump()
        differing = [name for name in ours if ours[name] != theirs.get(name)]
        raise SpecError(
            f"a stage cannot change the architecture: {', '.join(differing)} differ",
            place=str(path),
            remedy="use the same model for all stages, or train from the start",
        )
    unknown = sorted(set(elements) - set(model.elements))
    if unknown:
        raise SpecError(
            f"the model to start from does not know {', '.join(unknown)}",
            place=str(path),
            remedy="have all elements in the labels of the first stage",
        )
    return model


def freeze(model: Potential, patterns: Sequence[str]) -> list[str]:
    """Hold the parameters that match a pattern (fnmatch) fixed; returns their names."""
    names = dict(model.named_parameters())
    frozen = {name for p in patterns for name in _matching(p, list(names), "freeze")}
    for name, parameter in names.items():
        parameter.requires_grad_(name not in frozen)
    if len(frozen) == len(names):
        raise SpecError("nothing is left to train", place="freeze")
    return sorted(frozen)


def groups_of(model: Potential, factors: Mapping[str, float]) -> list[dict[str, Any]]:
    """Parameters that train, grouped for an optimiser by the `factor` on their learning rate.

    Parameters
    ----------
    factors
        Pattern (fnmatch) of parameter names -> factor; the first that matches counts, 1 if none.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    chosen: dict[str, float] = {}
    for pattern, factor in factors.items():
        for name in _matching(pattern, names, "learning_rates"):
            chosen.setdefault(name, factor)
    groups: dict[float, dict[str, Any]] = {}
    for name in names:
        factor = chosen.get(name, 1.0)
        group = groups.setdefault(factor, {"params": [], "factor": factor})
        group["params"].append(model.get_parameter(name))
    return list(groups.values())


def _matching(pattern: str, names: list[str], place: str) -> list[str]:
    """Names that match a pattern; there must be some."""
    matched = [name for name in names if fnmatchcase(name, pattern)]
    if not matched:
        raise SpecError(
            f"no parameter matches '{pattern}'{did_you_mean(pattern, names)}",
            place=place,
            remedy=f"parameters: {', '.join(names)}",
        )
    return matched


@torch.no_grad()
def refit_energies(model: Potential, cells: CellSet, batch_size: int) -> None:
    """Move the reference energies to what the labels leave of the network's prediction.

    Least squares per atom over compositions; the smallest change where they do not decide.
    """
    model.use_head(cells.head)
    fractions, rest = [], []
    for batch, targets in cells.in_order(batch_size):
        energy = model(batch).energy
        counts = torch.zeros(len(energy), len(model.elements), dtype=torch.float64)
        counts.index_put_((batch.structure, batch.species), torch.ones(()).double(), True)
        fractions.append(counts / targets.n_atoms[:, None])
        rest.append((targets.energy - energy) / targets.n_atoms)
    unknowns = torch.linalg.lstsq(
        torch.cat(fractions), torch.cat(rest)[:, None], driver="gelsd"
    ).solution
    model.reference_energies.add_(unknowns[:, 0])
