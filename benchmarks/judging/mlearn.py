"""Errors on the test files of the mlearn sets, and elastic constants, against published ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ase.data import atomic_numbers, reference_states

from fw_nnp.core.errors import FwNnpError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import EvaluateSpec
from fw_nnp.exchange import load_description, read_labelled
from fw_nnp.nnp import predict
from fw_nnp.properties.elastic import cubic_properties
from fw_nnp.properties.errors import compare

from .marks import Mark, against
from .mlearn_stress import describe
from .published import MLEARN_ELASTIC, MLEARN_ERRORS
from .strained import elastic_of_labels
from .training import screen

ATOMS_PER_CUBE = {"fcc": 4, "bcc": 2}
RIVALS = {"Mo": ("MTP", "GAP"), "Li": ("MTP", "SNAP")}
"""Whom to beat, in each quantity that they published."""
GOALS = {"Mo": (2.0, 75.0)}
ELASTIC_PERCENT = 3.0
STRAIN = 0.005
CONSTANTS = ("c11", "c12", "c44")


@dataclass(frozen=True, kw_only=True)
class MlearnSet:
    """The official training and test labels of one metal."""

    element: str
    training: list[LabelledConfiguration]
    test: list[LabelledConfiguration]


def read_set(folder: Path, description: Path | None) -> MlearnSet:
    """``training.json`` and ``test.json`` of a folder; without description, that of the set."""
    meaning = load_description(description) if description else describe(folder / "training.json")
    training, test = (
        list(read_labelled(folder / f"{name}.json", meaning)) for name in ("training", "test")
    )
    return MlearnSet(element=training[0].configuration.elements[0], training=training, test=test)


def judge(model: Path, data: MlearnSet) -> list[Mark]:
    """Mean absolute errors of the test file, and elastic constants where the crystal is known."""
    with screen.status(f"judging {model}"):
        predicted = predict(model, [item.configuration for item in data.test])
        scores = compare(data.test, predicted).overall
        marks = _error_marks(data.element, "energy", "meV/atom", scores.energy_meV_atom.mae, 0)
        marks += _error_marks(data.element, "force", "meV/Å", scores.force_meV_A.mae, 1)
        if scores.stress_GPa is not None:
            marks.append(Mark(name="stress MAE", unit="GPa", value=scores.stress_GPa.mae))
        return marks + _elastic_marks(model, data)


def _error_marks(element: str, name: str, unit: str, value: float, column: int) -> list[Mark]:
    """The error beside every published one; those of RIVALS are to be beaten."""
    marks = [Mark(name=f"{name} MAE", unit=unit, value=value)]
    for potential, errors in MLEARN_ERRORS.get(element, {}).items():
        published = errors[column]
        if published is not None:
            rival = potential in RIVALS.get(element, ())
            marks.append(
                Mark(
                    name=f"{name} MAE, {potential}'s",
                    unit=unit,
                    value=value,
                    limit=published if rival else None,
                    published=published,
                    strict=True,
                )
            )
    if element in GOALS:
        goal = GOALS[element][column]
        marks.append(Mark(name=f"{name} MAE, goal", unit=unit, value=value, limit=goal))
    return marks


def _elastic_marks(model: Path, data: MlearnSet) -> list[Mark]:
    """Elastic constants of fcc and bcc metals, beside those of DFT where they are known."""
    crystal = reference_states[atomic_numbers[data.element]]["symmetry"]
    if crystal not in ATOMS_PER_CUBE:
        return []
    spec = EvaluateSpec.model_validate(
        {
            "element": data.element,
            "crystal": crystal,
            "lattice_constant": _first_guess(data, ATOMS_PER_CUBE[crystal]),
            "strain": STRAIN,
        }
    )
    try:
        found = cubic_properties(lambda cells: predict(model, cells), spec)
    except FwNnpError as error:  # a table with NaN says which potential has no such crystal
        screen.print(f"{data.element}: {error}", markup=False)
        values = dict.fromkeys(CONSTANTS, math.nan)
    else:
        values = {name: getattr(found, name) for name in CONSTANTS}
    if data.element not in MLEARN_ELASTIC:
        return [Mark(name=name.upper(), unit="GPa", value=value) for name, value in values.items()]
    truth = MLEARN_ELASTIC[data.element]["DFT"]
    published: Sequence[float | None] = MLEARN_ELASTIC[data.element].get("MTP", (None,) * 3)
    marks = [
        against(
            f"{name.upper()}, error in %",
            "GPa",
            values[name],
            truth[i],
            limit=ELASTIC_PERCENT if data.element in GOALS else None,
            published=published[i],
            percent=True,
        )
        for i, name in enumerate(CONSTANTS)
    ]
    return marks + _strained_marks(model, data.training, ATOMS_PER_CUBE[crystal])


def _strained_marks(
    model: Path, training: Sequence[LabelledConfiguration], atoms: int
) -> list[Mark]:
    """Elastic constants in the strained training cells, by the potential and by the labels."""
    items = [item for item in training if item.label.stress is not None]
    predicted = predict(model, [item.configuration for item in items])
    own = [
        replace(item, label=replace(item.label, stress=prediction.stress))
        for item, prediction in zip(items, predicted, strict=True)
    ]
    values = elastic_of_labels(own, atoms)
    return [
        against(f"{name.upper()}, % from its labels", "GPa", values[name], told, percent=True)
        for name, told in elastic_of_labels(items, atoms).items()
    ]


def _first_guess(data: MlearnSet, atoms: int) -> float:
    """Lattice constant of a cube of `atoms` atoms with the volume of the best training cell."""
    best = min(data.training, key=lambda item: item.label.energy / item.configuration.n_atoms)
    volume = best.configuration.volume / best.configuration.n_atoms
    return float((atoms * volume) ** (1 / 3))
