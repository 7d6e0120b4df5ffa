"""Empirical potentials: labels and molecular dynamics at a cheap level of theory."""

from .protocol import (
    POTENTIALS,
    EmpiricalPotential,
    Segment,
    Snapshot,
    label_each,
    make_potential,
)

__all__ = [
    "POTENTIALS",
    "EmpiricalPotential",
    "Segment",
    "Snapshot",
    "label_each",
    "make_potential",
]
