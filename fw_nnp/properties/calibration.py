"""Whether a committee knows how wrong it is: spread of its members against actual errors.

A number is predicted as the mean of the members, with their standard deviation as the uncertainty.
Sorted by it and cut into bins of equal size, a calibrated uncertainty has a root mean square error
equal to its root mean variance in every bin (Levi et al., Sensors 22, 5540 (2022)). Members agree
too much where they all lack the same data, so a factor is fitted: on validation labels, not on
those it is judged on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import FloatArray, Label, LabelledConfiguration, voigt_stress
from fw_nnp.core.units import GPA

BINS = 10
QUANTITIES = ("energy_meV_atom", "force_meV_A", "stress_GPa")


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """One quantity: what the uncertainty is worth.

    Attributes
    ----------
    factor
        Root mean square error over root mean variance: times it, the spread is right on average.
    rank_correlation
        Spearman's, of spread and absolute error: 0 if the spread tells nothing.
    spread, error
        Root mean variance and root mean square error of every bin, unscaled, in the unit that
        the name of the quantity says.
    count
        Number of predictions.
    """

    factor: float
    rank_correlation: float
    spread: tuple[float, ...]
    error: tuple[float, ...]
    count: int


def calibration(
    reference: Sequence[LabelledConfiguration], members: Sequence[Sequence[Label]]
) -> Mapping[str, Reliability]:
    """Reliability of energies per atom, force components and stress components.

    Parameters
    ----------
    reference
        The truth.
    members
        For every configuration the labels of all members (`fw_nnp.nnp.predict_members`).

    Raises
    ------
    SpecError
        Fewer than two members.
    """
    if any(len(labels) < 2 for labels in members):
        raise SpecError(
            "one member has no spread",
            place="committee",
            remedy="train with model: {members: 4}",
        )
    found: dict[str, Reliability] = {}
    for name, numbers in zip(QUANTITIES, (_energy, _forces, _stress), strict=True):
        pairs = []
        for item, labels in zip(reference, members, strict=True):
            n = item.configuration.n_atoms
            truth, answers = numbers(item.label, n), [numbers(label, n) for label in labels]
            if truth is not None and not any(answer is None for answer in answers):
                pairs.append((truth, np.array(answers)))
        if len(pairs) > 1:
            found[name] = _reliability(pairs)
    return found


def _energy(label: Label, n_atoms: int) -> FloatArray:
    return np.array([1e3 * label.energy / n_atoms])


def _forces(label: Label, n_atoms: int) -> FloatArray | None:
    return None if label.forces is None else np.ravel(1e3 * label.forces)


def _stress(label: Label, n_atoms: int) -> FloatArray | None:
    return None if label.stress is None else np.asarray(voigt_stress(label.stress) / GPA)


def _reliability(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> Reliability:
    """From the truth (n,) and the members' answers (M, n) of every configuration."""
    errors = np.concatenate([answers.mean(axis=0) - truth for truth, answers in pairs])
    spreads = np.concatenate([answers.std(axis=0, ddof=1) for _, answers in pairs])
    bins = np.array_split(np.argsort(spreads, kind="stable"), min(BINS, len(spreads)))
    return Reliability(
        factor=_rms(errors) / max(_rms(spreads), 1e-12),
        rank_correlation=_rank_correlation(spreads, np.abs(errors)),
        spread=tuple(_rms(spreads[b]) for b in bins),
        error=tuple(_rms(errors[b]) for b in bins),
        count=len(errors),
    )


def _rank_correlation(spreads: FloatArray, errors: FloatArray) -> float:
    if np.ptp(spreads) == 0.0 or np.ptp(errors) == 0.0:
        return 0.0
    return float(spearmanr(spreads, errors).statistic)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
