"""What the standard output of pw.x says about its last self-consistency cycle.

pw.x prints JOB DONE after a failed cycle, too, and with ``scf_must_converge = .false.`` it even
prints "convergence has been achieved" and writes ``true`` into its XML (7.2). So the estimated
accuracy is compared with the threshold, and a geometry that moved after the last cycle counts
as not computed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from fw_nnp.core.units import BOHR, RYDBERG

# 7.x prints "convergence has been achieved" for whatever accuracy it gave up at; rounding to two
# digits is allowed for.
TOLERANCE = 1.06

HEADER = re.compile(r"Program PWSCF")
VERSION = re.compile(r"Program PWSCF v\.?\s*(\S+)")
ITERATION = re.compile(r"^\s*iteration #\s*1\s+ecut")
ENERGY = re.compile(r"^!+\s+total energy\s+=\s*(\S+)\s*Ry")
ACCURACY = re.compile(r"^\s*estimated scf accuracy\s+<\s*(\S+)\s*Ry")
THRESHOLD = re.compile(r"^\s*(?:scf )?convergence threshold\s+=\s*(\S+)")
N_ATOMS = re.compile(r"^\s*number of atoms/cell\s+=\s*(\d+)")
ACHIEVED = re.compile(r"convergence has been achieved")
NOT_ACHIEVED = re.compile(r"convergence NOT achieved")
FORCES = "Forces acting on atoms"
FORCE = re.compile(r"^\s*atom\s+\d+ type\s+\d+\s+force =\s*(.*)$")
CORRECTION = re.compile(r"Total SCF correction =\s*(\S+)")
LARGE_CORRECTION = re.compile(r"SCF correction compared to forces is large")
STRESS = re.compile(r"total\s+stress\s+\(Ry/bohr\*\*3\)")
MOVED = re.compile(r"^(ATOMIC_POSITIONS|CELL_PARAMETERS)")
FINAL = re.compile(r"^Begin final coordinates")
BANDS = re.compile(r"^\s*(Band Structure Calculation|End of band structure calculation)")
OPTIMISER = re.compile(r"history already reset at previous step: stopping|bfgs failed after")
REMARK = re.compile(r"^\s*Message from routine")  # of infomsg, in the next line; pw.x goes on
DONE = re.compile(r"^\s*JOB DONE")


@dataclass(kw_only=True)
class PwLog:
    """The last run in a standard output.

    Attributes
    ----------
    start
        Index of its first line.
    energy, accuracy, threshold
        Ry.
    achieved
        What the last statement about convergence says; None where a cycle is unfinished.
    n_forces
        Force rows after the last energy.
    net_force
        Sum of these forces, Ry/bohr, each direction by itself.
    finite
        All numbers of forces and stress can be read.
    correction
        "Total SCF correction", Ry/bohr.
    moved
        New positions or a new cell were printed after the last energy.
    lines_of
        Line numbers (from 1) of what was found, for evidence.
    """

    start: int = 0
    version: str = ""
    n_atoms: int = 0
    energy: float = math.nan
    accuracy: float = math.inf
    threshold: float = math.nan
    achieved: bool | None = None
    n_forces: int = 0
    net_force: tuple[float, float, float] = (0.0, 0.0, 0.0)
    has_stress: bool = False
    finite: bool = True
    correction: float = math.inf
    large_correction: bool = False
    moved: bool = False
    bands_only: bool = False
    optimiser_failed: bool = False
    finished: bool = False
    lines_of: dict[str, int] = field(default_factory=dict)

    @property
    def accurate(self) -> bool:
        """Whether the accuracy that was reached meets the threshold that was asked for."""
        return not self.accuracy > self.threshold * TOLERANCE

    @property
    def complete(self) -> bool:
        """Whether forces on all atoms and the stress follow the last energy."""
        return self.has_stress and self.finite and self.n_forces == self.n_atoms > 0

    @property
    def total_force(self) -> float:
        """Largest component of the sum of the forces, eV/Å."""
        return max(map(abs, self.net_force)) * RYDBERG / BOHR

    @property
    def force_error(self) -> float:
        """Estimated error of the forces from the unfinished SCF, eV/Å rms; inf if not printed."""
        return _per_component(self.correction, self.n_atoms)


def read_stdout(text: str) -> PwLog:
    """Read the last run in `text`; several runs may have been appended to one file."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if HEADER.search(line)]
    log = PwLog(start=starts[-1] if starts else 0)
    all_forces = False
    for number, line in enumerate(lines[log.start :], start=log.start + 1):
        if found := VERSION.search(line):
            log.version = found[1]
        elif found := N_ATOMS.match(line):
            log.n_atoms = int(found[1])
        elif found := THRESHOLD.match(line):
            log.threshold = _number(found[1])
        elif ITERATION.match(line):
            log.achieved, log.energy = None, math.nan
            _forget_forces(log)
        elif found := ACCURACY.match(line):
            log.accuracy = _number(found[1])
            log.lines_of["accuracy"] = number
        elif found := ENERGY.match(line):
            log.energy = _number(found[1])
            log.lines_of["energy"] = number
            _forget_forces(log)
        elif ACHIEVED.search(line) or NOT_ACHIEVED.search(line):
            log.achieved = bool(ACHIEVED.search(line))
            log.lines_of["achieved"] = number
        elif FORCES in line:
            all_forces = True
        elif found := FORCE.match(line):
            # The contributions that verbose output lists are not counted again.
            if all_forces and log.n_forces < log.n_atoms:
                log.n_forces += 1
                log.finite = log.finite and _all_numbers(found[1])
                x, y, z = (_number(word) for word in (*found[1].split(), "", "", "")[:3])
                log.net_force = (log.net_force[0] + x, log.net_force[1] + y, log.net_force[2] + z)
        elif found := CORRECTION.search(line):
            log.correction = _number(found[1], bad=math.inf)
            log.lines_of["correction"] = number
            all_forces = False
        elif LARGE_CORRECTION.search(line):
            log.large_correction = True
            log.lines_of["large_correction"] = number
        elif STRESS.search(line):
            log.has_stress = True
            rows = lines[number : number + 3]
            log.finite = log.finite and all(_all_numbers(row) for row in rows) and len(rows) == 3
        elif FINAL.match(line):
            log.lines_of["final"] = number
        elif MOVED.match(line):
            log.moved = "final" not in log.lines_of
        elif BANDS.match(line):
            log.bands_only = True
        elif OPTIMISER.search(line):
            log.optimiser_failed = True
            log.lines_of["optimiser"] = number
        elif DONE.match(line):
            log.finished = True
            log.lines_of["done"] = number
    return log


def accuracies(text: str) -> list[float]:
    """The estimated SCF accuracy after each step, Ry."""
    found = re.findall(ACCURACY.pattern, text, re.MULTILINE)
    return [value for value in map(_number, found) if math.isfinite(value)]


def force_errors(text: str) -> list[float]:
    """Estimated error of the forces of each step of the last run, eV/Å rms."""
    log = read_stdout(text)
    found = (CORRECTION.search(line) for line in text.splitlines()[log.start :])
    return [_per_component(_number(m[1], bad=math.inf), log.n_atoms) for m in found if m]


def _per_component(correction: float, n_atoms: int) -> float:
    """From the norm over all components, Ry/bohr, to eV/Å rms."""
    return correction * RYDBERG / BOHR / math.sqrt(3 * max(n_atoms, 1))


def _forget_forces(log: PwLog) -> None:
    """Forces and stress belong to the energy before them."""
    log.n_forces, log.has_stress, log.finite, log.moved = 0, False, True, False
    log.net_force = (0.0, 0.0, 0.0)
    log.correction, log.large_correction = math.inf, False
    log.lines_of.pop("final", None)


def _number(word: str, bad: float = math.nan) -> float:
    try:
        return float(word.replace("D", "E").replace("d", "e"))
    except ValueError:
        return bad


def _all_numbers(row: str) -> bool:
    words = row.split()
    return bool(words) and all(math.isfinite(_number(word)) for word in words)
