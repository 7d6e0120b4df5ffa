"""Forces and stresses held against central differences of the energy of displaced cells.

Six energies per configuration: a step of all atoms along their forces and back, an isotropic
strain, and a traceless one. Nothing is fitted; what the labels claim is compared with what the
energies do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fw_nnp.core.errors import LabelError
from fw_nnp.core.records import Configuration, FloatArray, LabelledConfiguration
from fw_nnp.core.units import GPA

STEP = 0.02  # Å, length of the step of all atoms together
STRAIN = 0.004
#: Differences beyond these are findings.
FORCE, PRESSURE, SHEAR = 0.02, 0.5, 0.3  # eV/Å, GPa, GPa


@dataclass(frozen=True, kw_only=True)
class Question:
    """A pair of cells and what the label says about the difference of their energies.

    Attributes
    ----------
    quantity
        ``force`` (along the step, eV/Å), ``pressure`` (a third of the trace of the stress) or
        ``shear`` (along a traceless strain), both GPa.
    low, high
        The cells on both sides.
    scale
        Turns the energy difference, eV, into the quantity.
    claimed
        By the label.
    """

    quantity: str
    low: Configuration
    high: Configuration
    scale: float
    claimed: float


@dataclass(frozen=True, kw_only=True)
class CentralDifferences:
    """What the energies say less what the labels say.

    Attributes
    ----------
    n_configurations, n_failed
        With all energies that they need, and without.
    force_rms_eV_A, force_factor
        Along the steps; the factor is what forces are to be multiplied by.
    pressure_offset_GPa, pressure_scatter_GPa
        Mean and standard deviation of a third of the trace: constant offset, and the rest.
    shear_rms_GPa
        Along the traceless strains.
    points
        For a figure: quantity with its unit -> (by the label, by the energies) of each pair.
    """

    n_configurations: int
    n_failed: int
    force_rms_eV_A: float
    force_factor: float
    pressure_offset_GPa: float | None
    pressure_scatter_GPa: float | None
    shear_rms_GPa: float | None
    findings: tuple[str, ...] = ()
    points: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)


def questions(item: LabelledConfiguration, seed: int) -> list[Question]:
    """The pairs of cells around one labelled configuration.

    Parameters
    ----------
    seed
        Of the traceless strain, and of the step where there are no forces.
    """
    rng = np.random.default_rng(seed)
    configuration, label = item.configuration, item.label
    if label.forces is None:
        raise LabelError("a label without forces cannot be audited", place=configuration.id)
    norm = float(np.linalg.norm(label.forces))
    way = label.forces / norm if norm > 1e-3 else _unit(rng.normal(size=label.forces.shape))
    low, high = (_moved(configuration, sign * STEP * way) for sign in (-1.0, 1.0))
    claimed = float((label.forces * way).sum())
    found = [
        Question(quantity="force", low=low, high=high, scale=-0.5 / STEP, claimed=claimed),
    ]
    if label.stress is None:
        return found
    noise = rng.normal(size=(3, 3))
    traceless = _unit(noise + noise.T - 2.0 * np.trace(noise) / 3.0 * np.eye(3))
    scale = 0.5 / STRAIN / configuration.volume / GPA
    for quantity, strain, weight in (
        ("pressure", np.eye(3), 1.0 / 3.0),
        ("shear", traceless, 1.0),
    ):
        low, high = (_strained(configuration, sign * STRAIN * strain) for sign in (-1.0, 1.0))
        claimed = weight * float((label.stress * strain).sum()) / GPA
        found.append(
            Question(quantity=quantity, low=low, high=high, scale=weight * scale, claimed=claimed)
        )
    return found


def answer(
    asked: Sequence[Sequence[Question]],
    energies: Mapping[str, float],
    *,
    reasons: Sequence[str] = (),
) -> CentralDifferences:
    """Compare, for the configurations whose cells all have an energy.

    Parameters
    ----------
    asked
        `questions` of each configuration.
    energies
        Configuration id -> eV.
    reasons
        Why some cells have none.

    Raises
    ------
    LabelError
        No configuration has all its energies.
    """
    whole = [
        pairs for pairs in asked if all(c.id in energies for q in pairs for c in (q.low, q.high))
    ]
    if not whole:
        raise LabelError(
            f"no displaced cell could be labelled: {'; '.join(reasons[:3])}",
            place="audit",
            remedy="correct the level of theory, or audit configurations that it can compute",
        )
    rows: dict[str, list[tuple[float, float]]] = {"force": [], "pressure": [], "shear": []}
    for question in (question for pairs in whole for question in pairs):
        found = question.scale * (energies[question.high.id] - energies[question.low.id])
        rows[question.quantity].append((found, question.claimed))
    force, pressure, shear = (np.array(rows[name]).reshape(-1, 2) for name in rows)
    offsets = pressure[:, 0] - pressure[:, 1]
    squared = float((force[:, 1] ** 2).sum())
    plain = CentralDifferences(
        n_configurations=len(whole),
        n_failed=len(asked) - len(whole),
        force_rms_eV_A=_rms(force),
        force_factor=float((force[:, 0] * force[:, 1]).sum()) / squared if squared else 1.0,
        pressure_offset_GPa=float(offsets.mean()) if len(offsets) else None,
        pressure_scatter_GPa=float(offsets.std()) if len(offsets) else None,
        shear_rms_GPa=_rms(shear) if len(shear) else None,
        points={
            f"{name} ({unit})": tuple((claimed, seen) for seen, claimed in rows[name])
            for name, unit in (("force", "eV/Å"), ("pressure", "GPa"), ("shear", "GPa"))
            if rows[name]
        },
    )
    return replace(plain, findings=(*_findings(plain), *(f"not labelled: {r}" for r in reasons)))


def _findings(result: CentralDifferences) -> list[str]:
    found = []
    if result.force_rms_eV_A > FORCE:
        found.append(
            f"forces differ from the slope of the energy by {result.force_rms_eV_A:.3g} eV/Å "
            f"(factor {result.force_factor:.3f})"
        )
    if abs(offset := result.pressure_offset_GPa or 0.0) > PRESSURE:
        found.append(
            f"stress and energy differ by a constant {offset:+.2f} GPa: a Pulay stress (cutoff), "
            "an ideal-gas part, or another level of theory"
        )
    if (scatter := result.pressure_scatter_GPa or 0.0) > PRESSURE:
        found.append(f"the pressure differs by ±{scatter:.2f} GPa beside its constant part")
    if (shear := result.shear_rms_GPa or 0.0) > SHEAR:
        found.append(
            f"shear stresses differ from the slope of the energy by {shear:.2f} GPa: a low cutoff "
            "(plane waves come and go with the strain), or another level of theory"
        )
    return found


def _rms(pairs: FloatArray) -> float:
    return float(np.sqrt(((pairs[:, 0] - pairs[:, 1]) ** 2).mean()))


def _unit(values: FloatArray) -> FloatArray:
    unit: FloatArray = values / np.linalg.norm(values)
    return unit


def _moved(configuration: Configuration, shift: FloatArray) -> Configuration:
    return Configuration(
        cell=configuration.cell,
        positions=configuration.positions + shift,
        numbers=configuration.numbers,
        pbc=configuration.pbc,
    )


def _strained(configuration: Configuration, strain: FloatArray) -> Configuration:
    deform = np.eye(3) + strain
    return Configuration(
        cell=configuration.cell @ deform,
        positions=configuration.positions @ deform,
        numbers=configuration.numbers,
        pbc=configuration.pbc,
    )
