"""An empirical potential in the place of DFT: the same questions, answered in no time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fw_nnp.core.errors import LabelError, SamplingError, SpecError
from fw_nnp.core.records import Configuration, Label, LevelOfTheory
from fw_nnp.core.specs import EmpiricalSpec
from fw_nnp.potentials.protocol import EmpiricalPotential

from .custody import Custody
from .labeler import Labeler


class EmpiricalLabeler:
    """Labels from a potential; `theory` is the potential's own."""

    def __init__(self, potential: EmpiricalPotential) -> None:
        self.potential = potential

    @property
    def theory(self) -> LevelOfTheory:
        return self.potential.theory

    def label(self, configuration: Configuration, directory: Path, custody: Custody) -> Label:
        try:
            (label,) = self.potential.label([configuration], directory)
        except (SpecError, SamplingError) as error:
            raise LabelError(
                error.message, place=error.place, remedy=error.remedy, error_class="input"
            ) from error
        return label


def empirical_labeler(
    spec: EmpiricalSpec,
    *,
    programs: Mapping[str, list[str]],
    base: Path,
    potential: EmpiricalPotential | None,
    allow_physics: bool,
) -> Labeler:
    """Wrap `potential`, which the caller has made from ``spec.potential``."""
    if potential is None:
        raise SpecError(
            "an empirical level of theory needs its potential",
            place="relabel.theory.potential",
            remedy="make it with fw_nnp.potentials.make_potential and pass it on",
        )
    return EmpiricalLabeler(potential)
