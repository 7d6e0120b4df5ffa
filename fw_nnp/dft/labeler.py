"""What answers questions at a level of theory, and how it is made from its spec."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from fw_nnp.core.errors import LabelError
from fw_nnp.core.records import Configuration, Label, LevelOfTheory
from fw_nnp.core.registry import Registry
from fw_nnp.core.specs import TheorySpec
from fw_nnp.potentials.protocol import EmpiricalPotential

from .custody import Custody, ProgramJob, Stopped
from .verdict import Diagnosis, Repairs

LOG = "custodian.json"


class Labeler(Protocol):
    """Makes labels at one level of theory."""

    @property
    def theory(self) -> LevelOfTheory:
        """The level of theory of every label."""

    def label(self, configuration: Configuration, directory: Path, custody: Custody) -> Label:
        """Return a proved label.

        Parameters
        ----------
        directory
            For the files of this calculation alone.
        custody
            Runs programs, so that a stop reaches them.

        Raises
        ------
        LabelError
            There is none to trust; `error_class` and `to_dict` say why.
        EngineError
            The program cannot be started at all.
        """


class ProgramLabeler(ABC):
    """A labeler around a program: subclasses say what to write, to run and to read."""

    theory: LevelOfTheory

    @abstractmethod
    def write(self, configuration: Configuration, directory: Path) -> None:
        """Write the inputs; what an earlier run left in `directory` is removed."""

    @abstractmethod
    def job(self, directory: Path) -> ProgramJob:
        """Return the custodian job that runs the program."""

    @abstractmethod
    def handlers(self, job: ProgramJob) -> Sequence[Repairs]:
        """Return the custodian handlers that may repair `job`; none for no repairs."""

    @abstractmethod
    def read(
        self, configuration: Configuration, directory: Path, diagnosis: Diagnosis | None = None
    ) -> Label:
        """Prove that the outputs answer the question and return the label.

        Parameters
        ----------
        diagnosis
            Of the last run, where its outputs have been read already.

        Raises
        ------
        LabelError
            Where the proof fails.
        """

    def stopped(self, directory: Path) -> None:
        """Note what a next call can go on from, after a stop; here: nothing."""
        return

    def label(self, configuration: Configuration, directory: Path, custody: Custody) -> Label:
        """Write -> run under custodian -> prove and parse."""
        self.write(configuration, directory)
        job = self.job(directory)
        handlers = self.handlers(job)
        try:
            custody.run(job, handlers, directory)
        except Stopped:
            self.stopped(directory)
            raise
        seen = next((handler.diagnosis for handler in handlers), None)
        label = self.read(configuration, directory, seen)
        return replace(label, provenance={**label.provenance, "wall_s": round(job.wall, 3)})


def require_periodic(configuration: Configuration, program: str) -> None:
    """Raise LabelError where a plane-wave code cannot describe the cell."""
    if not all(configuration.pbc):
        raise LabelError(
            f"{program} computes crystals, but the cell is not periodic in all directions",
            place=configuration.id,
            remedy="give it a periodic cell, with vacuum where there is a surface",
            error_class="geometry",
        )


def require_version(wanted: str, made_by: str, path: Path) -> None:
    """Raise LabelError where the level of theory names another version than made the output."""
    if wanted and not (made_by == wanted or made_by.startswith(f"{wanted}.")):
        raise LabelError(
            f"made by version {made_by}, but the level of theory says {wanted}",
            place=str(path),
            remedy="load the right version on the workers, or change 'version' of the theory",
            error_class="input",
        )


def corrections(directory: Path) -> list[dict[str, Any]]:
    """The actions in custodian's log that a further run followed, in order."""
    log = directory / LOG
    if not log.exists():
        return []
    actions = [
        action
        for job in json.loads(log.read_text())
        for correction in job["corrections"]
        for action in correction["actions"] or []
    ]
    # The last failure may have left a correction that no attempt was left for.
    return actions[: len(list(directory.glob("attempt-*")))]


def sha256(path: Path) -> str:
    """Digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class LabelerFactory(Protocol):
    """Makes the labeler of a spec: what LABELERS holds."""

    def __call__(
        self,
        spec: Any,
        *,
        programs: Mapping[str, list[str]],
        base: Path,
        potential: EmpiricalPotential | None,
        allow_physics: bool,
    ) -> Labeler: ...


LABELERS: Registry[LabelerFactory] = Registry(
    "labeler",
    {
        "espresso": "fw_nnp.dft.espresso:espresso_labeler",
        "vasp": "fw_nnp.dft.vasp:vasp_labeler",
        "empirical": "fw_nnp.dft.empirical:empirical_labeler",
    },
)


def make_labeler(
    spec: TheorySpec,
    *,
    programs: Mapping[str, list[str]],
    base: Path,
    potential: EmpiricalPotential | None = None,
    allow_physics: bool = False,
) -> Labeler:
    """Make the labeler of a level of theory.

    Parameters
    ----------
    programs
        ``pw``: argv of pw.x, for example ``["mpirun", "-n", "4", "pw.x"]``; ``vasp``: of VASP.
    base
        Folder of the campaign file, for relative paths.
    potential
        The potential of an `EmpiricalSpec`.
    allow_physics
        Let repairs change the physics; such labels come under a level of theory of their own.

    Raises
    ------
    SpecError
        A pseudopotential, program or potential is missing.
    """
    return LABELERS.get(spec.code)(
        spec, programs=programs, base=base, potential=potential, allow_physics=allow_physics
    )
