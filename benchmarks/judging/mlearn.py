"""Errors on the test files of the mlearn sets, and elastic constants, against published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import EvaluateSpec
from fw_nnp.exchange import load_description, read_labelled
from fw_nnp.nnp import predict
from fw_nnp.properties.elastic import cubic_properties
from fw_nnp.properties.errors import compare

from .marks import Mark, against
from .published import MLEARN_ELASTIC, MLEARN_ERRORS
from .training import screen

CRYSTALS = {"Mo": ("bcc", 3.17), "Li": ("bcc", 3.43), "Ni": ("fcc", 3.52), "Cu": ("fcc", 3.62)}
RIVALS = {"Mo": ("MTP", "GAP"), "Li": ("MTP", "SNAP")}
"""Whom to beat, in each quantity that they published."""
GOALS = {"Mo": (2.0, 75.0)}
ELASTIC_PERCENT = 3.0
STRAIN = 0.005


@dataclass(frozen=True, kw_only=True)
class MlearnSet:
    """The official training and test labels of one metal."""

    element: str
    training: list[LabelledConfiguration]
    test: list[LabelledConfiguration]


def read_set(folder: Path, description: Path) -> MlearnSet:
    """``training.json`` and ``test.json`` of a folder."""
    meaning = load_description(description)
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
        return marks + _elastic_marks(model, data.element)


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


def _elastic_marks(model: Path, element: str) -> list[Mark]:
    if element not in CRYSTALS or element not in MLEARN_ELASTIC:
        return []
    crystal, a0 = CRYSTALS[element]
    spec = EvaluateSpec.model_validate(
        {"element": element, "crystal": crystal, "lattice_constant": a0, "strain": STRAIN}
    )
    found = cubic_properties(lambda cells: predict(model, cells), spec)
    truth = MLEARN_ELASTIC[element]["DFT"]
    published: Sequence[float | None] = MLEARN_ELASTIC[element].get("MTP", (None, None, None))
    return [
        against(
            f"{name.upper()}, error in %",
            "GPa",
            getattr(found, name),
            truth[i],
            limit=ELASTIC_PERCENT,
            published=published[i],
            percent=True,
        )
        for i, name in enumerate(("c11", "c12", "c44"))
    ]
