"""How far predicted labels are from reference labels, overall and by phase.

Energies are compared per atom, forces and stresses by component. Energies of two codes have
different zeros, so a potential that was not trained on the reference (the empirical one) gets
one energy per element, fitted on the *training* labels by `fit_shift`: what is left is the
error of energy differences, and the test labels stay unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import (
    Configuration,
    FloatArray,
    Label,
    LabelledConfiguration,
    voigt_stress,
)
from fw_nnp.core.units import GPA

UNTAGGED = "untagged"
PARITY_POINTS = 1500


@dataclass(frozen=True, kw_only=True)
class Score:
    """Root mean square and mean absolute error of `count` numbers."""

    rmse: float
    mae: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Errors over a group of configurations; None where the labels have no such quantity.

    Attributes
    ----------
    configurations
        Number of configurations in the group.
    energy_meV_atom, force_meV_A, stress_GPa
        Energy per atom, force components, and the six Voigt components of the stress.
    """

    configurations: int
    energy_meV_atom: Score | None = None
    force_meV_A: Score | None = None
    stress_GPa: Score | None = None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Reference against prediction, for a figure; at most `PARITY_POINTS` points.

    Attributes
    ----------
    reference, predicted
        eV/atom, eV/Å or GPa.
    phase
        Phase of the configuration that each point belongs to.
    """

    reference: tuple[float, ...]
    predicted: tuple[float, ...]
    phase: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors of one potential against the reference.

    Attributes
    ----------
    overall
        Over all configurations.
    by_phase
        ``solid``, ``interface``, ``liquid`` or ``untagged`` -> the same; empty phases are absent.
    parity
        ``energy``, ``forces``, ``stress`` -> points for a figure.
    """

    overall: Scores
    by_phase: Mapping[str, Scores]
    parity: Mapping[str, Parity]


def fit_shift(
    reference: Sequence[LabelledConfiguration], predicted: Sequence[Label]
) -> dict[str, float]:
    """Energy per element that takes `predicted` to the zero of `reference`, by least squares.

    Parameters
    ----------
    reference
        Training labels; those of the test set would flatter the result.
    predicted
        Labels of the same configurations, in the same order.

    Returns
    -------
    dict
        Element -> eV per atom, to be added to the prediction. Where the compositions do not
        tell elements apart, the solution of smallest norm.
    """
    _check_pairs(reference, predicted)
    configurations = [item.configuration for item in reference]
    elements = sorted({symbol for c in configurations for symbol in c.elements})
    counts = np.array([[c.symbols.count(e) for e in elements] for c in configurations], dtype=float)
    gaps = np.array([r.label.energy - p.energy for r, p in zip(reference, predicted, strict=True)])
    # Per atom, so that large cells do not outvote small ones.
    atoms = counts.sum(axis=1)
    solution = np.linalg.lstsq(counts / atoms[:, None], gaps / atoms, rcond=None)[0]
    return dict(zip(elements, solution.tolist(), strict=True))


def compare(
    reference: Sequence[LabelledConfiguration],
    predicted: Sequence[Label],
    *,
    shift: Mapping[str, float] | None = None,
) -> Errors:
    """Errors of `predicted` against `reference`.

    Parameters
    ----------
    reference
        The truth, with phases.
    predicted
        Labels of the same configurations, in the same order. Forces or stress that one of the
        two lacks are left out of the errors.
    shift
        Element -> eV added per atom to the predicted energy (see `fit_shift`).
    """
    _check_pairs(reference, predicted)
    rows = [
        _differences(item, label, shift or {})
        for item, label in zip(reference, predicted, strict=True)
    ]
    phases = [item.phase or UNTAGGED for item in reference]
    by_phase = {
        phase: _scores([row for row, p in zip(rows, phases, strict=True) if p == phase])
        for phase in ("solid", "interface", "liquid", UNTAGGED)
        if phase in phases
    }
    parity = {name: _parity(rows, phases, name) for name in ("energy", "forces", "stress")}
    return Errors(
        overall=_scores(rows),
        by_phase=by_phase,
        parity={name: points for name, points in parity.items() if points.reference},
    )


# quantity -> (2, M): reference and prediction of one configuration
Row = Mapping[str, FloatArray]


def _check_pairs(reference: Sequence[LabelledConfiguration], predicted: Sequence[Label]) -> None:
    if len(reference) != len(predicted) or not reference:
        raise SpecError(f"{len(reference)} reference labels and {len(predicted)} predictions")
    for item, label in zip(reference, predicted, strict=True):
        if item.configuration.id != label.configuration_id:
            raise SpecError(
                f"prediction of {label.configuration_id} in its place",
                place=item.configuration.id,
                remedy="give the predictions in the order of the reference",
            )


def _differences(item: LabelledConfiguration, label: Label, shift: Mapping[str, float]) -> Row:
    """The quantities that both labels have: eV/atom, eV/Å, GPa."""
    n_atoms = item.configuration.n_atoms
    shifted = label.energy + _shift_energy(item.configuration, shift)
    row = {"energy": np.array([[item.label.energy], [shifted]]) / n_atoms}
    if item.label.forces is not None and label.forces is not None:
        row["forces"] = np.stack([item.label.forces.ravel(), label.forces.ravel()])
    if item.label.stress is not None and label.stress is not None:
        row["stress"] = (
            np.stack([voigt_stress(item.label.stress), voigt_stress(label.stress)]) / GPA
        )
    return row


def _shift_energy(configuration: Configuration, shift: Mapping[str, float]) -> float:
    missing = sorted(set(configuration.elements) - set(shift)) if shift else []
    if missing:
        raise SpecError(
            f"no energy shift for {', '.join(missing)}",
            place=configuration.id,
            remedy="fit the shift on training labels that contain every element",
        )
    return sum(shift.get(symbol, 0.0) for symbol in configuration.symbols)


def _scores(rows: Sequence[Row]) -> Scores:
    return Scores(
        configurations=len(rows),
        energy_meV_atom=_score(rows, "energy", 1e3),
        force_meV_A=_score(rows, "forces", 1e3),
        stress_GPa=_score(rows, "stress", 1.0),
    )


def _score(rows: Sequence[Row], quantity: str, factor: float) -> Score | None:
    parts = [row[quantity] for row in rows if quantity in row]
    if not parts:
        return None
    pairs = np.concatenate(parts, axis=1)
    error = (pairs[1] - pairs[0]) * factor
    return Score(
        rmse=float(np.sqrt(np.mean(error**2))),
        mae=float(np.mean(np.abs(error))),
        count=error.size,
    )


def _parity(rows: Sequence[Row], phases: Sequence[str], quantity: str) -> Parity:
    there = [(r[quantity], p) for r, p in zip(rows, phases, strict=True) if quantity in r]
    pairs = np.concatenate([part for part, _ in there], axis=1) if there else np.zeros((2, 0))
    names = np.repeat([p for _, p in there], [part.shape[1] for part, _ in there])
    kept = _thinned(np.abs(pairs[1] - pairs[0]))
    return Parity(
        reference=tuple(pairs[0, kept].round(6).tolist()),
        predicted=tuple(pairs[1, kept].round(6).tolist()),
        phase=tuple(names[kept].tolist()) if there else (),
    )


def _thinned(error: FloatArray) -> np.ndarray:
    """Indices of at most `PARITY_POINTS` points: the worst tenth of them, the rest evenly."""
    if error.size <= PARITY_POINTS:
        return np.arange(error.size)
    worst = np.argsort(-error, kind="stable")[: PARITY_POINTS // 10]
    rest = np.setdiff1d(np.arange(error.size), worst)
    even = rest[np.linspace(0, rest.size - 1, PARITY_POINTS - worst.size).round().astype(int)]
    return np.sort(np.concatenate([worst, even]))
