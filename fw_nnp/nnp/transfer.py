"""What a stage takes over from an earlier one, and what it holds fixed."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

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
    frozen: set[str] = set()
    for pattern in patterns:
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            raise SpecError(
                f"no parameter matches '{pattern}'{did_you_mean(pattern, list(names))}",
                place="freeze",
                remedy=f"parameters: {', '.join(names)}",
            )
        frozen.update(matched)
    for name, parameter in names.items():
        parameter.requires_grad_(name not in frozen)
    if len(frozen) == len(names):
        raise SpecError("nothing is left to train", place="freeze")
    return sorted(frozen)


@torch.no_grad()
def refit_energies(model: Potential, cells: CellSet, batch_size: int) -> None:
    """Move the reference energies to what the labels leave of the network's prediction.

    Least squares per atom over compositions; the smallest change where they do not decide.
    """
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
    model.reference += unknowns[:, 0]
