"""Audit by relabelling: displaced and strained cells at the level of theory of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import RelabelSpec
from fw_nnp.properties.central_differences import CentralDifferences, answer, questions

from .kept import Told, answers_at, evenly


def audit_by_differences(
    items: Sequence[LabelledConfiguration],
    theory: RelabelSpec,
    *,
    base: Path,
    folder: Path,
    count: int,
    cores: int,
    told: Told | None = None,
) -> CentralDifferences:
    """Hold `count` of `items`, evenly spread, against central differences of the energy.

    Parameters
    ----------
    theory
        At which the displaced cells are computed: that of the labels.
    folder
        Keeps the labels of the displaced cells, so that a repeated audit goes on.
    told
        Gets how many cells are answered, and of how many.

    Raises
    ------
    LabelError
        A label has no forces, or no displaced cell could be labelled.
    """
    asked = [questions(item, seed) for seed, item in enumerate(evenly(items, count))]
    found = answers_at(
        theory,
        [cell for pairs in asked for question in pairs for cell in (question.low, question.high)],
        base=base,
        folder=folder,
        cores=cores,
        told=told,
    )
    energies = {id_: label.energy for id_, label in found.labels.items()}
    return answer(asked, energies, reasons=found.reasons)
