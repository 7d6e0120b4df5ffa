"""Labels by Quantum ESPRESSO's pw.x: what to write, what to run, what to read."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from custodian.custodian import ErrorHandler

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, Label, LevelOfTheory
from fw_nnp.core.specs import EspressoSpec
from fw_nnp.potentials.protocol import EmpiricalPotential

from .custody import ProgramJob
from .espresso_input import OUTDIR, PREFIX, k_grid, pw_input
from .espresso_output import PwResult, read_xml, require_same
from .espresso_repairs import EspressoRepairs
from .espresso_verdict import diagnose_espresso
from .labeler import LOG, ProgramLabeler, corrections, require_periodic, require_version, sha256
from .outputs import find_outputs
from .theory import Pseudopotential, pseudopotentials, require_elements, theory_of
from .verdict import as_error

INPUT, STDOUT, STDERR = "pw.in", "pw.out", "pw.err"
XML = f"{OUTDIR}/{PREFIX}.save/data-file-schema.xml"


@dataclass(frozen=True, kw_only=True)
class EspressoLabeler(ProgramLabeler):
    """Single points of pw.x.

    Attributes
    ----------
    pseudos
        Element -> pseudopotential.
    argv
        pw.x, possibly behind mpirun or srun.
    """

    spec: EspressoSpec
    theory: LevelOfTheory
    pseudos: Mapping[str, Pseudopotential]
    argv: list[str]

    def write(self, configuration: Configuration, directory: Path) -> None:
        require_periodic(configuration, "pw.x")
        require_elements(self.spec, configuration.elements)
        directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(directory / OUTDIR, ignore_errors=True)
        for name in (STDOUT, STDERR, "CRASH", LOG):
            (directory / name).unlink(missing_ok=True)
        for attempt in directory.glob("attempt-*"):
            shutil.rmtree(attempt)
        (directory / INPUT).write_text(pw_input(configuration, self.spec, self.pseudos))

    def job(self, directory: Path) -> ProgramJob:
        return ProgramJob(
            [*self.argv, "-i", INPUT],
            stdout=STDOUT,
            stderr=STDERR,
            volatile=[OUTDIR, STDOUT, STDERR, "CRASH"],
            banner="Program PWSCF",
        )

    def handlers(self, job: ProgramJob) -> list[ErrorHandler]:
        return [EspressoRepairs(job, INPUT)]

    def read(self, configuration: Configuration, directory: Path) -> Label:
        done = corrections(directory)
        diagnosis = diagnose_espresso(
            find_outputs(directory), [record["action"] for record in done]
        )
        if not diagnosis.ok:
            error = as_error(diagnosis, directory)
            error.evidence["corrections"] = done
            raise error
        result = read_xml(directory / XML)
        require_same(result, configuration, directory / XML)
        require_version(self.spec.version, result.version, directory / XML)
        return Label(
            configuration_id=configuration.id,
            theory_id=self.theory.id,
            energy=result.energy,
            forces=result.forces,
            stress=result.stress,
            provenance=self._provenance(result, configuration, directory, done),
        )

    def _provenance(
        self,
        result: PwResult,
        configuration: Configuration,
        directory: Path,
        done: list[dict[str, Any]],
    ) -> dict[str, Any]:
        provenance: dict[str, Any] = {
            "code": "pw.x",
            "version": result.version,
            "host": platform.node(),
            "corrections": done,
            "core_s": round(result.cpu, 3),
            "n_scf_steps": result.n_scf_steps,
            "k_grid": list(k_grid(configuration.cell, self.spec.k_spacing)),
            "input_sha256": sha256(directory / INPUT),
            "output_sha256": sha256(directory / XML),
        }
        if result.magnetization is not None:
            provenance["magnetization"] = result.magnetization
        return provenance


def espresso_labeler(
    spec: EspressoSpec,
    *,
    programs: Mapping[str, list[str]],
    base: Path,
    potential: EmpiricalPotential | None,
    allow_physics: bool,
) -> EspressoLabeler:
    """Make the labeler of a spec; ``programs["pw"]`` is the argv of pw.x.

    No repair of pw.x changes the physics, whatever is allowed.
    """
    if not programs.get("pw"):
        raise SpecError(
            "no program pw.x was given", place="programs", remedy="pass programs={'pw': [...]}"
        )
    return EspressoLabeler(
        spec=spec,
        theory=theory_of(spec, base=base),
        pseudos=pseudopotentials(spec, base=base),
        argv=list(programs["pw"]),
    )
