"""Labels from a model, many configurations at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fw_nnp.core.records import Configuration, Label

from .artefact import load_model, model_id
from .batch import AtomBatch, groups_of, join
from .data import read_configuration
from .potential import Potential
from .repulsion import Baseline

BATCH_ATOMS = 256  # what fits the processor's cache


def predict(
    model: Path | Potential, configurations: Sequence[Configuration], theory_id: str = ""
) -> list[Label]:
    """Energy, forces and stress of every configuration, in float64.

    Parameters
    ----------
    model
        A model file or a loaded model.
    configurations
        Any sizes; elements the model knows.
    theory_id
        Of the labels; the id of the model file if empty.

    Returns
    -------
    list of Label
        In order; stress only for configurations that are periodic in three directions.
    """
    if isinstance(model, Path):
        theory_id = theory_id or model_id(model)
        model = load_model(model)
    potential = model.double().eval()
    labels: list[Label] = []
    for group in groups_of(configurations, BATCH_ATOMS):
        read = [read_configuration(potential, c, torch.float64) for c in group]
        labels += _labels(potential, group, read, theory_id)
    return labels


@torch.no_grad()
def _labels(
    model: Potential,
    configurations: Sequence[Configuration],
    read: Sequence[tuple[AtomBatch, Baseline]],
    theory_id: str,
) -> list[Label]:
    batch = join([batch for batch, _ in read])
    prediction = model(batch)
    forces = prediction.forces.numpy()
    labels = []
    start = 0
    for i, (configuration, (_, baseline)) in enumerate(zip(configurations, read, strict=True)):
        rows = slice(start, start + configuration.n_atoms)
        start += configuration.n_atoms
        stress = None
        if all(configuration.pbc):
            stress = prediction.stress[i].numpy() + baseline.virial / configuration.volume
        labels.append(
            Label(
                configuration_id=configuration.id,
                theory_id=theory_id,
                energy=float(prediction.energy[i]) + baseline.energy,
                forces=np.asarray(forces[rows], dtype=np.float64) + baseline.forces,
                stress=stress,
            )
        )
    return labels
