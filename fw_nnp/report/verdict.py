"""The result in words: what the numbers of an evaluation say, flattering or not."""

from __future__ import annotations

from fw_nnp.properties.elastic import CubicProperties
from fw_nnp.properties.errors import Score
from fw_nnp.properties.evaluation import Evaluation

from .naming import number

NBSP = "\N{NO-BREAK SPACE}"  # between a number and its unit
CONSTANTS = (
    ("a0", "a₀", "Å"),
    ("c11", "C₁₁", "GPa"),
    ("c12", "C₁₂", "GPa"),
    ("c44", "C₄₄", "GPa"),
    ("bulk_modulus", "B", "GPa"),
)


def ratio_in_words(ours: float, theirs: float) -> str:
    """``4.3 times smaller``, ``about the same`` or ``1.5 times larger``."""
    if ours == 0.0 or theirs == 0.0:
        return "about the same" if ours == theirs else "smaller" if ours < theirs else "larger"
    if 1 / 1.05 < theirs / ours < 1.05:
        return "about the same"
    if theirs > ours:
        return f"{theirs / ours:.1f} times smaller"
    return f"{ours / theirs:.1f} times larger"


def deviations(found: CubicProperties, reference: CubicProperties) -> dict[str, float]:
    """Deviation of each of `CONSTANTS` from the reference, in per cent."""
    return {
        name: 100.0 * (getattr(found, name) / getattr(reference, name) - 1.0)
        for name, _, _ in CONSTANTS
    }


def headline(evaluation: Evaluation) -> str:
    """The first sentence of the page: force error of the potential and of the empirical one."""
    ours = _force(evaluation, "potential")
    if ours is None:
        return "There are no held-out labels with forces: nothing is proved."
    held_out = evaluation.test_errors["potential"].overall.configurations
    sentence = (
        f"Force error against DFT on {held_out} held-out frames: {number(ours.rmse)}{NBSP}meV/Å"
    )
    theirs = _force(evaluation, "eam")
    if theirs is None:
        return f"{sentence}."
    words = ratio_in_words(ours.rmse, theirs.rmse)
    sentence += f"; the {evaluation.empirical}: {_force_text(theirs)}. "
    if theirs.rmse > ours.rmse:
        return sentence + f"The network's error is {words}."
    return sentence + f"The network does not beat it: its error is {words}."


def remarks(evaluation: Evaluation) -> list[str]:
    """The sentences after the headline: elasticity, labels, what is missing."""
    return [
        *_elasticity(evaluation),
        _labels(evaluation),
        *(
            f"No lattice and elastic constants of {name}: {reason}"
            for name, reason in evaluation.property_failures.items()
        ),
    ]


def _force(evaluation: Evaluation, method: str) -> Score | None:
    errors = evaluation.test_errors.get(method)
    return None if errors is None else errors.overall.force_meV_A


def _force_text(score: Score) -> str:
    return f"{number(score.rmse)}{NBSP}meV/Å"


def _elasticity(evaluation: Evaluation) -> list[str]:
    names = {"potential": "the network", "eam": f"the {evaluation.empirical}"}
    found = {m: evaluation.properties[m] for m in names if m in evaluation.properties}
    sentences = []
    dft = evaluation.properties.get("dft")
    if dft is not None and found:
        parts = [f"{names[m]} {_distance(properties, dft)}" for m, properties in found.items()]
        sentences.append(f"Lattice and elastic constants against DFT: {'; '.join(parts)}.")
    sentences += [
        f"With {names[m]} the crystal is mechanically unstable."
        for m, properties in found.items()
        if not properties.stable
    ]
    return sentences


def _distance(found: CubicProperties, dft: CubicProperties) -> str:
    """``1.4 mÅ smaller and within 3.4 % (C₄₄)``."""
    change = 1e3 * (found.a0 - dft.a0)
    off = deviations(found, dft)
    symbols = {"c11": "C₁₁", "c12": "C₁₂", "c44": "C₄₄"}
    worst = max(symbols, key=lambda key: abs(off[key]))
    words = "smaller" if change < 0 else "larger"
    elastic = f"{abs(off[worst]):.1f}{NBSP}% ({symbols[worst]})"
    return f"{abs(change):.1f}{NBSP}mÅ {words} and within {elastic}"


def _labels(evaluation: Evaluation) -> str:
    total, lost = evaluation.labels.total, len(evaluation.quarantined)
    quarantine = {0: "none is in quarantine", 1: "one is in quarantine"}.get(
        lost, f"{lost} are in quarantine"
    )
    return f"{total} structures have DFT labels, {quarantine}."
