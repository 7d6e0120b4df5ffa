"""Labels by VASP: what to write, what to run, what to read."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fw_nnp.core.errors import CorrectionRefused, LabelError, OutputUnreadable, SpecError
from fw_nnp.core.records import Configuration, Label, LevelOfTheory
from fw_nnp.core.specs import VaspSpec
from fw_nnp.potentials.protocol import EmpiricalPotential

from .custody import ProgramJob
from .labeler import LOG, ProgramLabeler, corrections, require_periodic, require_version, sha256
from .outputs import find_outputs
from .vasp_input import Potcar, find_potcars, order_of, vasp_theory, write_inputs
from .vasp_output import VaspResult, outcar_cpu, outcar_moment, parse_vasprun
from .vasp_repairs import REFUSED, STDERR, STDOUT, VaspRepairs, read_refused
from .vasp_verdict import diagnose_vasp
from .verdict import Diagnosis, Repairs, as_error

PRINTED = ("vasprun.xml", "OUTCAR", "OSZICAR", STDOUT, STDERR)
LEFT = ("CONTCAR", "XDATCAR", "DOSCAR", "EIGENVAL", "IBZKPT", "PCDAT", "REPORT", "PROCAR")
POSITION_TOLERANCE = 1e-5  # Å
NO_MOMENT = 0.05  # μB per atom: a magnetic start that ended in the non-magnetic solution
LARGE_ENTROPY = 1e-3  # eV/atom: a smearing that is wide for this cell


@dataclass(frozen=True, kw_only=True)
class VaspLabeler(ProgramLabeler):
    """Single points of VASP.

    Attributes
    ----------
    potcars
        Element -> POTCAR.
    argv
        vasp_std, possibly behind mpirun or srun.
    """

    spec: VaspSpec
    theory: LevelOfTheory
    potcars: Mapping[str, Potcar]
    argv: list[str]
    allow_physics: bool = False

    def write(self, configuration: Configuration, directory: Path) -> None:
        require_periodic(configuration, "VASP")
        directory.mkdir(parents=True, exist_ok=True)
        for name in (*PRINTED, *LEFT, LOG, REFUSED, "WAVECAR", "CHGCAR"):
            (directory / name).unlink(missing_ok=True)
        for attempt in directory.glob("attempt-*"):
            shutil.rmtree(attempt)
        settings = self.theory.settings
        write_inputs(
            configuration,
            directory,
            incar=settings["incar"],
            k_spacing=settings["k_spacing"],
            magmom=settings.get("magmom", {}),
            hubbard=settings.get("hubbard", {}),
            potcars=self.potcars,
        )

    def job(self, directory: Path) -> ProgramJob:
        return ProgramJob(
            self.argv, stdout=STDOUT, stderr=STDERR, volatile=[*PRINTED, *LEFT], banner="vasp"
        )

    def handlers(self, job: ProgramJob) -> list[Repairs]:
        return [VaspRepairs(allow_physics=self.allow_physics)]

    def read(
        self, configuration: Configuration, directory: Path, diagnosis: Diagnosis | None = None
    ) -> Label:
        done = corrections(directory)
        refused = read_refused(directory)
        diagnosis = diagnosis or diagnose_vasp(find_outputs(directory), directory)
        if not diagnosis.ok:
            error = as_error(diagnosis, directory)
            if refused:
                error = _refusal(error, refused)
            error.evidence["corrections"] = done
            raise error
        path = directory / "vasprun.xml"
        result = diagnosis.result
        if not isinstance(result, VaspResult) or result.positions is None:  # an OUTCAR alone
            result = parse_vasprun(path.read_text(errors="replace"), path)
        order = order_of(configuration)
        _require_same(result, configuration, path)
        require_version(self.spec.version, result.version, path)
        forces = np.empty_like(result.forces)
        forces[order] = result.forces
        theory = self._theory_after(done)
        provenance = self._provenance(result, configuration, directory, done)
        if theory.id != self.theory.id:
            provenance["theory"] = {"code": theory.code, "settings": dict(theory.settings)}
        return Label(
            configuration_id=configuration.id,
            theory_id=theory.id,
            energy=result.energy,
            forces=forces,
            stress=result.stress,
            provenance=provenance,
        )

    def _theory_after(self, done: list[dict[str, Any]]) -> LevelOfTheory:
        """The level of theory that the corrections left; another one after a physics change."""
        changed = sorted({text for record in done for text in record.get("physics", [])})
        if not changed:
            return self.theory
        settings = {**self.theory.settings, "changed": changed}
        return LevelOfTheory(code=self.theory.code, settings=settings)

    def _provenance(
        self,
        result: VaspResult,
        configuration: Configuration,
        directory: Path,
        done: list[dict[str, Any]],
    ) -> dict[str, Any]:
        outcar = (directory / "OUTCAR").read_text(errors="replace")
        provenance: dict[str, Any] = {
            "code": "vasp",
            "version": result.version,
            "host": platform.node(),
            "corrections": done,
            "core_s": round(outcar_cpu(outcar), 3),
            "n_scf_steps": result.n_scf_steps,
            "input_sha256": sha256(directory / "INCAR"),
            "output_sha256": sha256(directory / "vasprun.xml"),
        }
        if (moment := outcar_moment(outcar)) is not None:
            provenance["magnetization"] = moment
        flags = _flags(result)
        started = sum(
            self.theory.settings.get("magmom", {}).get(s, 0.0) for s in configuration.symbols
        )
        if moment is not None and abs(started) > abs(moment) and _small(moment, configuration):
            flags.append("nonmagnetic")
        if flags:
            provenance["flags"] = flags
        return provenance


def _small(moment: float, configuration: Configuration) -> bool:
    return abs(moment) < NO_MOMENT * configuration.n_atoms


def _flags(result: VaspResult) -> list[str]:
    """What custodian would act on and a label only notes."""
    flags = []
    if abs(result.entropy) > LARGE_ENTROPY:
        flags.append("large_sigma")
    if result.energy > 0.0:
        flags.append("positive_energy")
    return flags


def _refusal(error: LabelError, refused: list[dict[str, Any]]) -> CorrectionRefused:
    """The error of a run whose repair would have changed the physics, with the changes."""
    changes = [change for record in refused for change in record["refused"]]
    return CorrectionRefused(
        f"{error.message} (refused, for it would change the physics: {'; '.join(changes)})",
        place=error.place,
        remedy="another level of theory, or allow_physics_changes: relabel_as_new_theory",
        error_class=error.error_class,
        evidence={**error.evidence, "refused": changes},
    )


def _require_same(result: VaspResult, configuration: Configuration, path: Path) -> None:
    """Raise OutputUnreadable unless the output is about `configuration`."""
    order = order_of(configuration)
    assert result.cell is not None
    assert result.positions is not None
    symbols = tuple(configuration.symbols[i] for i in order)
    scaled = np.linalg.solve(
        configuration.cell.T, (result.positions - configuration.positions[order]).T
    )
    offset = (scaled - np.round(scaled)).T @ configuration.cell
    same = (
        result.symbols == symbols
        and np.abs(result.cell - configuration.cell).max() < POSITION_TOLERANCE
        and np.abs(offset).max() < POSITION_TOLERANCE
    )
    if not same:
        raise OutputUnreadable(
            "the output is about other atoms than the input",
            place=str(path),
            remedy="two calculations share a directory?",
        )


def vasp_labeler(
    spec: VaspSpec,
    *,
    programs: Mapping[str, list[str]],
    base: Path,
    potential: EmpiricalPotential | None,
    allow_physics: bool,
) -> VaspLabeler:
    """Make the labeler of a spec; ``programs["vasp"]`` is the argv of VASP."""
    if not programs.get("vasp"):
        raise SpecError(
            "no program VASP was given", place="programs", remedy="pass programs={'vasp': [...]}"
        )
    return VaspLabeler(
        spec=spec,
        theory=vasp_theory(spec, base=base),
        potcars=find_potcars(spec, base=base),
        argv=list(programs["vasp"]),
        allow_physics=allow_physics,
    )
