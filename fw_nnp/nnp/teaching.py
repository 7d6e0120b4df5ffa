"""A committee that teaches: its answers for perturbed cells, from which one network learns.

Where labels are few, models that are trained on them err each in its own way, and the mean of a
committee errs less than any member. A single model that learns the committee's energies, forces
and stresses of perturbed copies of the cells, beside the labels themselves, keeps most of what
the mean has gained, and costs no more than before where it is used (ensemble knowledge
distillation; for potentials Matin et al., arXiv:2503.14293).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fw_nnp.core.records import Configuration, FloatArray, Label, LabelledConfiguration
from fw_nnp.core.specs import AnyModelSpec, StageSpec, may_be_taught
from fw_nnp.core.units import GPA

from .neighbours import find_neighbours
from .prediction import predict

TEACHERS = 4
"""Members of the committee, unless the stage says how many."""
TAUGHT_ATOMS = 40_000
"""Labelled atoms up to which there are teachers, unless the stage says so."""
COPIES = 3
"""Perturbed copies of each cell."""
PASSES = 2
"""An epoch of the stage is so many steps of the model per cell: of labels and of answers."""
RATTLE = 0.15
"""Å: standard deviation of the displacements along each axis, at most,"""
SHARE = 0.06
"""and at most this share of the shortest distance in the cell."""
STRAIN = 0.02
"""Standard deviation of the strains."""
BEYOND = 1.5
"""A copy is left out if a force is so many times the largest labelled one."""


def n_teachers(
    stage: StageSpec, model: AnyModelSpec, training: Sequence[LabelledConfiguration]
) -> int:
    """Size of the committee that is trained before the model; 0: none."""
    if stage.teachers is not None:
        return stage.teachers
    if stage.start_from is not None or not may_be_taught(model):
        return 0
    few = sum(item.configuration.n_atoms for item in training) <= TAUGHT_ATOMS
    return TEACHERS if few and stage.labels == "high" else 0


def stage_of_teachers(stage: StageSpec) -> StageSpec:
    """The same for the committee, in half of the time where that is limited."""
    return stage.model_copy(update={"teachers": 0, "time_limit": _half(stage)})


def stage_of_taught(
    stage: StageSpec, n_cells: int, n_lessons: int, stress_offset: float
) -> StageSpec:
    """The same for the model: the rest of the time, and fewer epochs, for each has more cells.

    `stress_offset` is what the committee has found in the labels, GPa.
    """
    cells = 1 + round(n_lessons / n_cells)
    epochs = max(1, round(stage.epochs * min(1.0, PASSES / cells)))
    changes = {"epochs": epochs, "time_limit": _half(stage), "stress_offset": stress_offset}
    return stage.model_copy(update=changes)


def _half(stage: StageSpec) -> float | None:
    return None if stage.time_limit is None else stage.time_limit / 2


def lessons(
    committee: Path,
    items: Sequence[LabelledConfiguration],
    seed: int,
    stress_offset: float,
) -> list[LabelledConfiguration]:
    """Perturbed copies of labelled cells with the committee's answers for labels.

    An answer has what the label of its cell has: where forces or stress are not labelled, the
    committee has not learned them; and stresses have the constant of the labels, GPa.
    """
    random = np.random.default_rng(seed)
    copies = [(item, _perturbed(item.configuration, random)) for item in [*items] * COPIES]
    answers = predict(committee, [configuration for _, configuration in copies])
    constant = stress_offset * GPA * np.eye(3)
    taught = [
        replace(item, configuration=configuration, label=_like(item.label, answer, constant))
        for (item, configuration), answer in zip(copies, answers, strict=True)
    ]
    limit = BEYOND * max(_largest(item.label) for item in items)
    return [item for item in taught if _largest(item.label) <= limit]


def _perturbed(configuration: Configuration, random: np.random.Generator) -> Configuration:
    n = configuration.n_atoms
    species = np.zeros(n, dtype=np.int64)
    shortest = find_neighbours(configuration, RATTLE / SHARE, species, 1).shortest
    rattle = min(RATTLE, SHARE * shortest) * random.uniform(0.2, 1.0)
    displacements = random.normal(scale=rattle, size=(n, 3))
    strain = random.normal(scale=STRAIN, size=(3, 3))
    deformation = np.eye(3) + 0.5 * (strain + strain.T)
    return replace(
        configuration,
        cell=configuration.cell @ deformation,
        positions=(configuration.positions + displacements) @ deformation,
    )


def _like(label: Label, answer: Label, constant: FloatArray) -> Label:
    return replace(
        answer,
        theory_id=label.theory_id,
        forces=None if label.forces is None else answer.forces,
        stress=None if label.stress is None or answer.stress is None else answer.stress + constant,
    )


def _largest(label: Label) -> float:
    """eV/Å; 0 without forces."""
    forces: FloatArray | None = label.forces
    return 0.0 if forces is None else float(np.abs(forces).max())
