"""Effective medium theory in ASE: the stand-in that needs no program.

Good enough to run a whole campaign in seconds; its physics is nobody's reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from ase import units
from ase.calculators.emt import EMT, parameters
from ase.md.langevin import Langevin

from fw_nnp.core.atoms import from_atoms, label_from_calculator, to_atoms
from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, FloatArray, Label, LevelOfTheory
from fw_nnp.core.specs import PotentialSpec

from .protocol import Segment, Snapshot, refuse_foreign

_FRICTION = 0.01 / units.fs


def from_spec(
    spec: PotentialSpec, *, lmp: Sequence[str], base: Path, potentials_dir: Path | None
) -> EmtPotential:
    """The potential of `spec`; EMT has neither program nor file."""
    unknown = [element for element in spec.elements if element not in parameters]
    if unknown:
        raise SpecError(
            f"EMT does not describe {', '.join(unknown)}",
            place="potential.elements",
            remedy=f"known: {', '.join(parameters)}",
        )
    return EmtPotential(spec.elements)


class EmtPotential:
    """ASE's EMT calculator as an `EmpiricalPotential`."""

    def __init__(self, elements: Sequence[str]) -> None:
        self._elements = list(elements)

    @cached_property
    def theory(self) -> LevelOfTheory:
        return LevelOfTheory(
            code="empirical", settings={"engine": "emt", "elements": self._elements}
        )

    def label(self, configurations: Sequence[Configuration], directory: Path) -> list[Label]:
        """Labels in order; see `EmpiricalPotential.label`. Nothing is written."""
        refuse_foreign(configurations, self._elements)
        return [
            label_from_calculator(configuration, EMT(), self.theory.id)
            for configuration in configurations
        ]

    def run_md(
        self,
        start: Configuration,
        schedule: Sequence[Segment],
        *,
        timestep: float,
        every: int,
        pressure: float,
        seed: int,
        directory: Path,
    ) -> list[Snapshot]:
        """Langevin dynamics in a fixed cell (`pressure` is not used); see `EmpiricalPotential`."""
        refuse_foreign([start], self._elements)
        rng = np.random.default_rng(seed)
        atoms = to_atoms(start)
        atoms.calc = EMT()
        # twice the temperature: a perfect crystal takes half of it into its springs
        kt = 2.0 * schedule[0].t_start * units.kB
        widths = np.sqrt(kt * atoms.get_masses())[:, None]
        atoms.set_momenta(widths * rng.standard_normal((len(atoms), 3)))
        md = Langevin(
            atoms,
            timestep * units.fs,
            temperature_K=schedule[0].t_start,
            friction=_FRICTION,
            fixcm=False,
            rng=rng,
        )
        snapshots = []
        for step, temperature in enumerate(_ramp(schedule), start=1):
            md.set_temperature(temperature_K=temperature)
            md.run(1)
            if step % every == 0:
                configuration = from_atoms(atoms)
                snapshots.append(
                    Snapshot(
                        configuration=configuration,
                        label=label_from_calculator(configuration, atoms.calc, self.theory.id),
                        step=step,
                        time=step * timestep,
                        temperature=atoms.get_temperature(),
                    )
                )
        return snapshots


def _ramp(schedule: Sequence[Segment]) -> FloatArray:
    """Temperature of the thermostat at each step, K."""
    return np.concatenate(
        [np.linspace(segment.t_start, segment.t_end, segment.steps) for segment in schedule]
    )
