"""What a potential says of nickel, and how far that is from the EAM that labelled its cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import FloatArray, LabelledConfiguration
from fw_nnp.core.specs import EvaluateSpec
from fw_nnp.nnp import predict
from fw_nnp.properties.elastic import Evaluate, cubic_properties
from fw_nnp.properties.errors import Scores, compare
from fw_nnp.properties.structures import structure_energy
from fw_nnp.properties.tangent import largest_jump, tangent_c11, uniaxial_scan, volume_scan
from fw_nnp.properties.vacancy import vacancy_energy

from .marks import Mark, against
from .nickel_truth import RUNS, nickel_eam, trajectory
from .published import NICKEL_STAGE_2 as STAGE_2
from .training import screen

STRAINS = (0.001, 0.002, 0.005, 0.01, 0.02)
JUDGED = STRAINS[:4]  # the last one counts in the spread of C11 only
CONSTANTS = ("c11", "c12", "c44")
QUANTITIES = ("energy_meV_atom", "force_meV_A", "stress_GPa")
LIMITS: Mapping[tuple[str, str], float] = {
    ("300 K", "force_meV_A"): 10.0,
    ("liquid 2200 K", "force_meV_A"): 25.0,
    **{(run, "energy_meV_atom"): 0.5 for run in RUNS},
    **{(run, "stress_GPa"): 0.05 for run in RUNS},
}
UNITS = {"energy_meV_atom": "meV/atom", "force_meV_A": "meV/Å", "stress_GPa": "GPa"}


@dataclass(frozen=True, kw_only=True)
class Nickel:
    """Properties of nickel at one level of theory.

    Attributes
    ----------
    a0
        Å.
    elastic
        (strains, 3) C11, C12, C44 in GPa at STRAINS.
    vacancy
        eV, 107 atoms relaxed in the cell of the truth.
    bcc, hcp
        meV/atom above fcc, each at its own volume.
    tangents
        Scan -> C11 along it, GPa, at the lattice constant of the truth.
    """

    a0: float
    elastic: FloatArray
    vacancy: float
    bcc: float
    hcp: float
    tangents: Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The EAM's own answers, and its trajectories."""

    nickel: Nickel
    runs: Mapping[str, list[LabelledConfiguration]]


def measure(evaluate: Evaluate, a0: float | None = None) -> Nickel:
    """Ask `evaluate` for everything; `a0` is that of the truth, None for the truth itself."""
    found = [
        cubic_properties(evaluate, EvaluateSpec(element="Ni", lattice_constant=3.52, strain=strain))
        for strain in STRAINS
    ]
    reference = found[0].a0 if a0 is None else a0
    crystal = bulk("Ni", "fcc", a=reference, cubic=True)
    fcc, bcc, hcp = (
        structure_energy(evaluate, "Ni", structure, reference**3 / 4)
        for structure in ("fcc", "bcc", "hcp")
    )
    cube = from_atoms(crystal)
    return Nickel(
        a0=found[0].a0,
        elastic=np.array([(one.c11, one.c12, one.c44) for one in found]),
        vacancy=vacancy_energy(evaluate, crystal.repeat(3)),
        bcc=1e3 * (bcc - fcc),
        hcp=1e3 * (hcp - fcc),
        tangents={
            "volume": tangent_c11(evaluate, cube, volume_scan()),
            "[100] strain": tangent_c11(evaluate, cube, uniaxial_scan()),
        },
    )


def nickel_truth(data: Path, frames: int) -> Truth:
    """Properties and trajectories of the EAM, computed now."""
    potential = nickel_eam(data)
    with (
        TemporaryDirectory() as scratch,
        screen.status("the truth: properties and trajectories of the EAM"),
    ):
        place = Path(scratch)
        return Truth(
            nickel=measure(lambda cells: potential.label(cells, place / "label")),
            runs={name: trajectory(potential, name, frames, place / "md") for name in RUNS},
        )


def judge(model: Path, truth: Truth) -> list[Mark]:
    """Every mark of one model file."""
    with screen.status(f"judging {model}"):
        nickel = measure(lambda cells: predict(model, cells), truth.nickel.a0)
        scores = {
            name: compare(items, predict(model, [i.configuration for i in items])).overall
            for name, items in truth.runs.items()
        }
    return [
        *_elastic_marks(nickel, truth.nickel),
        *_energy_marks(nickel, truth.nickel),
        *[mark for name in RUNS for mark in _run_marks(name, scores[name])],
    ]


def _elastic_marks(found: Nickel, truth: Nickel) -> list[Mark]:
    judged = slice(0, len(JUDGED))
    percent = 100.0 * np.abs(found.elastic / truth.elastic - 1.0)[judged]
    marks = [
        against(
            f"{constant.upper()} at {100 * strain:g} %",
            "GPa",
            float(found.elastic[i, j]),
            float(truth.elastic[i, j]),
            published=STAGE_2[constant] if i == 0 else None,
        )
        for i, strain in enumerate(STRAINS)
        for j, constant in enumerate(CONSTANTS)
    ]
    marks += [
        Mark(name="elastic, mean error", unit="%", value=float(percent.mean()), limit=1.0),
        Mark(name="elastic, largest error", unit="%", value=float(percent.max()), limit=2.0),
        Mark(
            name="spread of C11, 0.1-2 %",
            unit="GPa",
            value=float(np.ptp(found.elastic[:, 0])),
            limit=3.0,
            truth=float(np.ptp(truth.elastic[:, 0])),
        ),
    ]
    return marks + [
        Mark(
            name=f"tangent jump, {scan}",
            unit="GPa",
            value=largest_jump(found.tangents[scan]),
            limit=5.0,
            truth=largest_jump(tangent),
            published=STAGE_2["tangent jump"] if scan == "[100] strain" else None,
        )
        for scan, tangent in truth.tangents.items()
    ]


def _energy_marks(found: Nickel, truth: Nickel) -> list[Mark]:
    return [
        against("a0", "Å", found.a0, truth.a0, limit=0.001, published=STAGE_2["a0"]),
        against(
            "vacancy", "eV", found.vacancy, truth.vacancy, limit=0.05, published=STAGE_2["vacancy"]
        ),
        against(
            "bcc - fcc", "meV", found.bcc, truth.bcc, limit=1.0, published=STAGE_2["bcc - fcc"]
        ),
        against(
            "hcp - fcc", "meV", found.hcp, truth.hcp, limit=1.0, published=STAGE_2["hcp - fcc"]
        ),
    ]


def _run_marks(name: str, scores: Scores) -> list[Mark]:
    """Root mean square errors on one trajectory."""
    marks = []
    for quantity in QUANTITIES:
        score = getattr(scores, quantity)
        marks.append(
            Mark(
                name=f"{quantity.split('_')[0]}, {name}",
                unit=UNITS[quantity],
                value=score.rmse,
                limit=LIMITS.get((name, quantity)),
                published=STAGE_2[name][quantity],
            )
        )
    return marks


def truth_document(truth: Truth) -> dict[str, Any]:
    """The truth's numbers as plain JSON."""
    return {
        "a0": truth.nickel.a0,
        "elastic": dict(zip(map(str, STRAINS), truth.nickel.elastic.tolist(), strict=True)),
        "vacancy": truth.nickel.vacancy,
        "bcc - fcc": truth.nickel.bcc,
        "hcp - fcc": truth.nickel.hcp,
        "frames": {name: len(items) for name, items in truth.runs.items()},
    }
