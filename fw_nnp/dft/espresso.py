"""Labels by Quantum ESPRESSO's pw.x: what to write, what to run, what to read."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, Label, LevelOfTheory
from fw_nnp.core.specs import EspressoSpec
from fw_nnp.core.units import RYDBERG
from fw_nnp.potentials.protocol import EmpiricalPotential

from .custody import Custody, ProgramJob
from .espresso_input import OUTDIR, PREFIX, k_grid, keyword, pw_input, with_keyword
from .espresso_output import PwResult, read_xml, require_same
from .espresso_repairs import EspressoRepairs
from .espresso_verdict import diagnose_espresso
from .labeler import LOG, ProgramLabeler, corrections, require_periodic, require_version, sha256
from .outputs import find_outputs
from .start_density import StartDensity
from .theory import Pseudopotential, pseudopotentials, require_elements, resolved, theory_of
from .verdict import Diagnosis, Repairs, as_error

NO_MOMENT = 0.05  # μB per atom: a magnetic start that ended in the non-magnetic solution
INPUT, STDOUT, STDERR = "pw.in", "pw.out", "pw.err"
SAVED = "saved-state"  # holds the digest of the input that a saved state belongs to
RESTART = "  restart_mode = 'restart'\n"
FROM_FILE = "  startingpot = 'file'\n"
STOP_FILES = (f"{PREFIX}.EXIT", f"{OUTDIR}/{PREFIX}.EXIT")
START_KEYS = {"startingpot", "nspin", "noncolin", "lda_plus_u"}
SAVE = f"{OUTDIR}/{PREFIX}.save"
XML = f"{SAVE}/data-file-schema.xml"


@dataclass(frozen=True, kw_only=True)
class EspressoLabeler(ProgramLabeler):
    """Single points of pw.x.

    Attributes
    ----------
    pseudos
        Element -> pseudopotential.
    argv
        pw.x, possibly behind mpirun or srun.
    densities
        Where calculations start from and what they add to; None: from isolated atoms.
    """

    spec: EspressoSpec
    theory: LevelOfTheory
    pseudos: Mapping[str, Pseudopotential]
    argv: list[str]
    densities: StartDensity | None = None

    def label(self, configuration: Configuration, directory: Path, custody: Custody) -> Label:
        label = super().label(configuration, directory, custody)
        if self.densities and _finds_by_miller(label.provenance["version"]):
            self.densities.learn(configuration, directory / SAVE)
        return label

    def write(self, configuration: Configuration, directory: Path) -> None:
        require_periodic(configuration, "pw.x")
        require_elements(self.spec, configuration.elements)
        directory.mkdir(parents=True, exist_ok=True)
        text = pw_input(configuration, self.spec, self.pseudos)
        resumes = _saved(directory) == hashlib.sha256(text.encode()).hexdigest()
        for name in (STDOUT, STDERR, "CRASH", LOG, SAVED, *STOP_FILES):
            (directory / name).unlink(missing_ok=True)
        for attempt in directory.glob("attempt-*"):
            shutil.rmtree(attempt)
        if resumes:
            text = with_keyword(text, "control", "restart_mode", "restart")
        else:
            shutil.rmtree(directory / OUTDIR, ignore_errors=True)
            if self.densities and self.densities.write(configuration, directory / SAVE):
                text = with_keyword(text, "electrons", "startingpot", "file")
        (directory / INPUT).write_text(text)

    def stopped(self, directory: Path) -> None:
        """Remember the input whose state pw.x has saved, now or before a start that never came."""
        text, output = (directory / INPUT).read_text(), directory / STDOUT
        if output.exists():
            saved = "Program stopped by user request" in output.read_text(errors="replace")
        else:
            saved = RESTART in text
        if saved and (directory / OUTDIR).is_dir():
            plain = text.replace(RESTART, "").replace(FROM_FILE, "")
            digest = hashlib.sha256(plain.encode()).hexdigest()
            (directory / SAVED).write_text(digest)

    def job(self, directory: Path) -> ProgramJob:
        return ProgramJob(
            [*self.argv, "-i", INPUT],
            stdout=STDOUT,
            stderr=STDERR,
            volatile=[OUTDIR, STDOUT, STDERR, "CRASH"],
            banner="Program PWSCF",
            stop_files=STOP_FILES,
            progress="estimated scf accuracy",
        )

    def handlers(self, job: ProgramJob) -> list[Repairs]:
        return [EspressoRepairs(job, INPUT)]

    def read(
        self, configuration: Configuration, directory: Path, diagnosis: Diagnosis | None = None
    ) -> Label:
        done = corrections(directory)
        diagnosis = diagnosis or diagnose_espresso(
            find_outputs(directory), [record["action"] for record in done]
        )
        if not diagnosis.ok:
            error = as_error(diagnosis, directory)
            error.evidence["corrections"] = done
            raise error
        result = diagnosis.result
        if not isinstance(result, PwResult):
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
        if keyword((directory / INPUT).read_text(), "restart_mode") == "'restart'":
            provenance["resumed"] = True
        if keyword((directory / INPUT).read_text(), "startingpot") == "'file'":
            provenance["start_density"] = "learned"
        if result.magnetization is not None and result.absolute_magnetization is not None:
            provenance["magnetization"] = result.magnetization
            provenance["absolute_magnetization"] = result.absolute_magnetization
            started = any(abs(m) > 0.0 for m in self.spec.starting_magnetization.values())
            per_atom = result.absolute_magnetization / configuration.n_atoms
            if started and per_atom < NO_MOMENT:
                provenance["flags"] = ["nonmagnetic"]
        return provenance


def _finds_by_miller(version: str) -> bool:
    """Whether this pw.x can read a `StartDensity`: older ones search long, or trust the order."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2]) >= (7, 2)


def _saved(directory: Path) -> str:
    """Digest of the input whose saved state lies in `directory`; empty for none."""
    path = directory / SAVED
    return path.read_text() if path.is_file() and (directory / OUTDIR).is_dir() else ""


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
    spec = resolved(spec, base=base)
    pseudos = pseudopotentials(spec, base=base)
    return EspressoLabeler(
        spec=spec,
        theory=theory_of(spec, base=base),
        pseudos=pseudos,
        argv=list(programs["pw"]),
        densities=_densities(spec, pseudos),
    )


def _densities(spec: EspressoSpec, pseudos: Mapping[str, Pseudopotential]) -> StartDensity | None:
    """Start densities where the charge density is all that pw.x starts from.

    Not with moments, whose start chooses among solutions, nor where the file alone does not tell
    everything (PAW, DFT+U, another functional).
    """
    asked = {key for keywords in spec.extra.values() for key in keywords}
    more = spec.spin or spec.hubbard or spec.input_dft or asked & START_KEYS
    if more or any(pseudo.paw for pseudo in pseudos.values()):
        return None
    assert spec.ecutwfc is not None  # resolved
    ecutrho = (spec.ecutrho or 4.0 * spec.ecutwfc) / RYDBERG
    return StartDensity(ecutrho, {element: upf.valence for element, upf in pseudos.items()})
