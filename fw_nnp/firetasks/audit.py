"""Audit by relabelling: displaced and strained cells at the level of theory of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fw_nnp.core.records import Label, LabelledConfiguration
from fw_nnp.core.specs import RelabelSpec
from fw_nnp.dft import relabel_many
from fw_nnp.properties.central_differences import CentralDifferences, answer, questions
from fw_nnp.services.engines import find_programs

from .relabel import labeler_at


def audit_by_differences(
    items: Sequence[LabelledConfiguration],
    theory: RelabelSpec,
    *,
    base: Path,
    folder: Path,
    count: int,
    cores: int,
) -> CentralDifferences:
    """Hold `count` of `items`, evenly spread, against central differences of the energy.

    Parameters
    ----------
    theory
        At which the displaced cells are computed: that of the labels.

    Raises
    ------
    LabelError
        A label has no forces, or no displaced cell could be labelled.
    """
    step = max(1, len(items) // count)
    asked = [questions(item, seed) for seed, item in enumerate(list(items)[::step][:count])]
    outcomes = relabel_many(
        [cell for pairs in asked for question in pairs for cell in (question.low, question.high)],
        labeler_at(theory, programs=find_programs(), base=base),
        folder / "scratch",
        side_by_side=cores,
        max_attempts=theory.max_attempts,
        min_distance=theory.min_distance,
        stop=lambda: False,
    )
    energies = {o.configuration_id: o.energy for o in outcomes if isinstance(o, Label)}
    return answer(asked, energies)
