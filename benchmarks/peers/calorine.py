"""calorine: the C++ implementation of NEP behind an ASE calculator; an untrained model.

It trains with GPUMD only, on a GPU.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from calorine.calculators import CPUNEP

from .work import ELEMENT, Cells, Work, ase_work

# GPUMD's default sizes: 5 radial and 5 x (4 + 1) angular features, 30 neurons.
N_MAX, BASIS, L_MAX, NEURONS = 4, 8, 4, 30
FEATURES = (N_MAX + 1) * (1 + L_MAX + 1)


def inference(cells: Cells) -> Work:
    path = Path("nep.txt")
    parameters = write_model(path, cells.cutoff)
    calculators = [CPUNEP(str(path)) for _ in range(len(cells))]
    return ase_work(
        calculators,
        cells,
        version=version("calorine"),
        computes="E, F, S; neighbour list; ASE calculator; float64; one thread",
        settings=f"NEP4, {FEATURES} features, untrained",
        parameters=parameters,
    )


def write_model(path: Path, cutoff: float) -> int:
    """A model of small random numbers in NEP's text format; returns how many there are."""
    network = (FEATURES + 2) * NEURONS + 1
    expansion = 2 * (N_MAX + 1) * (BASIS + 1)
    numbers = 0.1 * np.random.default_rng(1).normal(size=network + expansion)
    head = [
        f"nep4 1 {ELEMENT}",
        f"cutoff {cutoff} {cutoff} 200 200",
        f"n_max {N_MAX} {N_MAX}",
        f"basis_size {BASIS} {BASIS}",
        f"l_max {L_MAX} 2 0",
        f"ANN {NEURONS} 0",
    ]
    scalers = ["1.0"] * FEATURES
    path.write_text("\n".join([*head, *(f"{x:.8e}" for x in numbers), *scalers]) + "\n")
    return len(numbers)
