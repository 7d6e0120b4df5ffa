"""Names, units and numbers as figures and text print them."""

from __future__ import annotations

from math import floor, log10

from fw_nnp.properties.evaluation import Evaluation

# field of Scores, key of parity, title, unit of the error, unit of the axes
QUANTITIES = (
    ("energy_meV_atom", "energy", "Energy", "meV/atom", "eV/atom"),
    ("force_meV_A", "forces", "Force components", "meV/Å", "eV/Å"),
    ("stress_GPa", "stress", "Stress components", "GPa", "GPa"),
)


def number(value: float) -> str:
    """Three significant digits."""
    if value == 0 or not 0.001 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.{max(0, 2 - floor(log10(abs(value))))}f}"


def method_names(evaluation: Evaluation) -> dict[str, str]:
    """How the three methods are called in captions."""
    return {"potential": "neural network", "eam": evaluation.empirical, "dft": "DFT"}
