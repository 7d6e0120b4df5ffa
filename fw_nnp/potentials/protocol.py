"""What an empirical potential can do, and how one is made from its spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fw_nnp.core.errors import LabelError, SamplingError, SpecError
from fw_nnp.core.records import Configuration, Label, LevelOfTheory
from fw_nnp.core.registry import Registry
from fw_nnp.core.specs import PotentialSpec

FLAT = 0.1  # Å³ per atom: a cell that is none


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of molecular dynamics with a linear temperature ramp.

    Attributes
    ----------
    steps
        Number of time steps.
    t_start, t_end
        Temperature of the thermostat at both ends, K.
    """

    steps: int
    t_start: float
    t_end: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """One kept step of a molecular dynamics run, with its label at the same theory.

    Attributes
    ----------
    step, time, temperature
        Step from the start of the run, time in fs, kinetic temperature in K.
    label
        Static part only: no kinetic energy, no kinetic pressure.
    """

    configuration: Configuration
    label: Label
    step: int
    time: float
    temperature: float


class EmpiricalPotential(Protocol):
    """Labels and trajectories of one cheap potential."""

    @property
    def theory(self) -> LevelOfTheory:
        """Code ``empirical``; settings hold the sha256 of the file, never its path."""

    def label(self, configurations: Sequence[Configuration], directory: Path) -> list[Label]:
        """Energy, forces and stress of each configuration, in order.

        Parameters
        ----------
        configurations
            Periodic, of any sizes and cell shapes.
        directory
            Scratch for the engine's files; made if absent.
        """

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
        """Run `schedule` and keep each `every`-th step, the start itself excepted.

        Parameters
        ----------
        timestep
            fs.
        pressure
            eV/Å³, positive in compression; an engine of constant volume says so and ignores it.
        seed
            Of the velocities (and of the thermostat); equal seeds give equal trajectories.
        """


class PotentialFactory(Protocol):
    """Makes the potential of a spec: what POTENTIALS holds."""

    def __call__(
        self, spec: PotentialSpec, *, lmp: Sequence[str], base: Path, potentials_dir: Path | None
    ) -> EmpiricalPotential: ...


POTENTIALS: Registry[PotentialFactory] = Registry(
    "potential",
    {
        "lammps": "fw_nnp.potentials.lammps:from_spec",
        "emt": "fw_nnp.potentials.emt:from_spec",
    },
)


def make_potential(
    spec: PotentialSpec, *, lmp: Sequence[str], base: Path, potentials_dir: Path | None
) -> EmpiricalPotential:
    """The potential that `spec` describes.

    Parameters
    ----------
    lmp
        Command line of LAMMPS, for example ``["lmp"]``; unused by engines without a program.
    base
        Folder of the campaign file; relative file names are looked up there first.
    potentials_dir
        LAMMPS' own folder of potentials, looked up second.
    """
    return POTENTIALS.get(spec.engine)(spec, lmp=lmp, base=base, potentials_dir=potentials_dir)


def label_each(
    potential: EmpiricalPotential, configurations: Sequence[Configuration], directory: Path
) -> list[Label | None]:
    """Labels in order; None where the potential has no answer: a foreign element, no cell ...

    Raises
    ------
    FwNnpError
        It has an answer for none of them.
    """
    no_answer = (SpecError, LabelError, SamplingError)
    try:
        return list(potential.label(configurations, directory))
    except no_answer as error:
        first = error
    labels: list[Label | None] = []
    for configuration in configurations:
        try:
            labels += potential.label([configuration], directory)
        except no_answer:
            labels.append(None)
    if not any(labels):
        raise first
    return labels


def refuse_foreign(configurations: Sequence[Configuration], elements: Sequence[str]) -> None:
    """SpecError for a configuration without a periodic cell or with an unknown element."""
    for configuration in configurations:
        unknown = set(configuration.elements) - set(elements)
        if unknown:
            raise SpecError(
                f"the potential describes {', '.join(elements)}, not {', '.join(sorted(unknown))}",
                place=configuration.id,
                remedy="add the element to 'elements' of the potential, or translate the cells",
            )
        if not all(configuration.pbc):
            raise SpecError(
                "empirical labels need a periodic cell",
                place=configuration.id,
                remedy="put the cluster or slab into a cell with vacuum and pbc = True",
            )
        if configuration.volume < FLAT * configuration.n_atoms:
            raise SpecError(
                f"the cell is flat: {configuration.volume:.3g} Å³ in all",
                place=configuration.id,
                remedy="correct its vectors",
            )
