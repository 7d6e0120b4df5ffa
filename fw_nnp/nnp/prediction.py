"""Labels from a model, many configurations at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from fw_nnp.core.records import Configuration, Label

from .artefact import load_model, model_id
from .batch import AtomBatch, groups_of, join
from .compiled import side_by_side
from .data import read_configuration
from .fixed import Baseline
from .potential import Potential, Precision, Prediction, dtype_of

BATCH_ATOMS = 512  # what fits the processor's cache


def predict(
    model: Path | Potential,
    configurations: Sequence[Configuration],
    theory_id: str = "",
    head: str = "",
    precision: Precision = "double",
) -> list[Label]:
    """Energy, forces and stress of every configuration.

    Parameters
    ----------
    model
        A model file or a loaded model.
    configurations
        Any sizes; elements the model knows.
    theory_id
        Of the labels; the id of the model file if empty.
    head
        Of a model file that has heads, as in `load_model`.
    precision
        Of the model's arithmetic. ``single`` is faster, and errs by a few 1e-6 of a force; too much
        for elastic constants from small strains, little for errors against labels.

    Returns
    -------
    list of Label
        In order; stress only for configurations that are periodic in three directions.
    """
    ask = Potential.forward
    found = _predict(model, configurations, theory_id, head, precision, ask)
    return [labels[0] for labels in found]


def predict_members(
    model: Path | Potential,
    configurations: Sequence[Configuration],
    theory_id: str = "",
    head: str = "",
    precision: Precision = "double",
) -> list[list[Label]]:
    """As `predict`, one label per member of a committee; `predict` gives their mean."""
    return _predict(model, configurations, theory_id, head, precision, Potential.members)


def _predict(
    model: Path | Potential,
    configurations: Sequence[Configuration],
    theory_id: str,
    head: str,
    precision: Precision,
    ask: Callable[[Potential, AtomBatch], Prediction],
) -> list[list[Label]]:
    if isinstance(model, Path):
        theory_id = theory_id or model_id(model, head)
        model = load_model(model, head)
    dtype = dtype_of(precision)
    if any(parameter.dtype.itemsize > dtype.itemsize for parameter in model.parameters()):
        model = deepcopy(model)  # the caller's keeps its digits
    potential = model.set_precision(precision).eval()

    def labels_of(group: list[Configuration]) -> list[list[Label]]:
        read = [read_configuration(potential, c, dtype) for c in group]
        with torch.no_grad():  # is of a thread
            prediction = ask(potential, join([batch for batch, _ in read]))
        return _labels(group, [baseline for _, baseline in read], prediction, theory_id)

    groups = list(groups_of(configurations, BATCH_ATOMS))
    return [labels for group in side_by_side(labels_of, groups) for labels in group]


def _labels(
    configurations: Sequence[Configuration],
    baselines: Sequence[Baseline],
    prediction: Prediction,
    theory_id: str,
) -> list[list[Label]]:
    """Labels of every configuration, one per member; a single prediction counts as one member."""
    energies = prediction.energy.view(-1, len(configurations)).tolist()
    forces = prediction.forces.view(len(energies), -1, 3).numpy()
    stresses = prediction.stress.view(len(energies), -1, 3, 3).numpy()
    labels = []
    start = 0
    for i, (configuration, baseline) in enumerate(zip(configurations, baselines, strict=True)):
        rows = slice(start, start + configuration.n_atoms)
        start += configuration.n_atoms
        periodic = all(configuration.pbc)
        labels.append(
            [
                Label(
                    configuration_id=configuration.id,
                    theory_id=theory_id,
                    energy=energies[m][i] + baseline.energy,
                    forces=np.asarray(forces[m, rows], dtype=np.float64) + baseline.forces,
                    stress=np.asarray(stresses[m, i], dtype=np.float64)
                    + baseline.virial / configuration.volume
                    if periodic
                    else None,
                )
                for m in range(len(energies))
            ]
        )
    return labels
