"""What a model was trained on, in the numbers that its card shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fw_nnp.core.hashing import digest
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.units import GPA


def describe(items: Sequence[LabelledConfiguration]) -> dict[str, Any]:
    """Counts, levels of theory and ranges of labelled configurations, as plain JSON.

    Returns
    -------
    dict
        ``cells``, ``atoms``, ``elements`` (symbol -> number of atoms), ``theories`` (id ->
        number of labels), ``labels`` (sha256 over the sorted label ids) and ``ranges``
        ([least, largest] of volume in Å³/atom, energy in eV/atom, force in eV/Å, pressure
        in GPa, those that are labelled).
    """
    elements: Counter[str] = Counter()
    for item in items:
        elements.update(item.configuration.symbols)
    return {
        "cells": len(items),
        "atoms": sum(item.configuration.n_atoms for item in items),
        "elements": dict(sorted(elements.items())),
        "theories": dict(sorted(Counter(item.label.theory_id for item in items).items())),
        "labels": digest(*sorted(item.label.id for item in items)),
        "ranges": _ranges(items),
    }


def _ranges(items: Sequence[LabelledConfiguration]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {
        "volume": [],
        "energy": [],
        "force": [],
        "pressure": [],
    }
    for item in items:
        configuration, label = item.configuration, item.label
        if all(configuration.pbc):
            found["volume"].append(configuration.volume / configuration.n_atoms)
        found["energy"].append(label.energy / configuration.n_atoms)
        if label.forces is not None:
            found["force"].append(float(np.linalg.norm(label.forces, axis=1).max()))
        if label.stress is not None:
            found["pressure"].append(-float(np.trace(label.stress)) / 3.0 / GPA)
    return {name: [min(values), max(values)] for name, values in found.items() if values}
