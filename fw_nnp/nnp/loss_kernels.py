"""Loss, squared errors and their slopes in one pass over a batch, compiled by numba.

The twin in plain torch is `loss`, where the formulas are. Torch makes some forty small operations
of it, there and back: on cells of a few dozen atoms they cost as much as the model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fw_nnp.core.units import GPA, VOIGT

from .jit import serial
from .matrix_kernels import unsigned

Array = NDArray[np.generic]
_VOIGT = np.array(VOIGT)
_PER_GPA = 1.0 / GPA


class Cells(NamedTuple):
    """Of a batch, and its `Targets`.

    Attributes
    ----------
    structure, atom_energies
        (A,): the structure of every atom, its reference energy in eV.
    """

    structure: Array
    atom_energies: Array
    volumes: Array
    energy: Array
    n_atoms: Array
    forces: Array
    has_forces: Array
    stress: Array
    has_stress: Array
    share: Array
    force_share: Array


@serial
def loss_and_slopes(  # type: ignore[no-untyped-def]
    energies, forces, virials, cells, weights, by_energies, by_forces, by_virials, squares
):
    """The loss; its slopes and the sums of squared errors (3,) are written.

    Parameters
    ----------
    energies, forces, virials
        (M, A), (M, A, 3), (M, A, 3, 3) of the atoms.
    weights
        Of energy, forces and stress, and the width of the robust loss, zero for squares.
    """
    members, n_atoms, n_cells = len(energies), unsigned(len(cells.structure)), len(cells.volumes)
    totals = np.zeros(3)
    for s in range(n_cells):
        totals[0] += cells.share[s]
        totals[2] += cells.share[s] * cells.has_stress[s]
    for i in range(n_atoms):
        totals[1] += cells.force_share[i] * cells.has_forces[i]
    factors = np.empty(3)
    for q in range(3):
        factors[q] = weights[q] / (max(totals[q], 1e-12) * members)
        squares[q] = 0.0
    width = weights[3] * weights[3]
    value = 0.0
    energy, virial = np.empty(n_cells), np.empty((n_cells, 3, 3))
    for m in range(members):
        for s in range(n_cells):
            energy[s] = 0.0
            for a in range(3):
                for b in range(3):
                    virial[s, a, b] = 0.0
        for i in range(n_atoms):
            s = cells.structure[i]
            energy[s] += energies[m, i] + cells.atom_energies[i]
            for a in range(3):
                for b in range(3):
                    virial[s, a, b] += 0.5 * (virials[m, i, a, b] + virials[m, i, b, a])
        # from here on, slopes take the place of the sums
        for s in range(n_cells):
            error = (energy[s] - cells.energy[s]) / cells.n_atoms[s]
            share = factors[0] * cells.share[s]
            squares[0] += error * error
            value += share * error * error
            energy[s] = 2.0 * share * error / cells.n_atoms[s]
            share = factors[2] * cells.share[s] * cells.has_stress[s] / 6.0
            unit = cells.has_stress[s] * _PER_GPA
            for v in range(6):
                a, b = _VOIGT[v]
                error = (virial[s, a, b] / cells.volumes[s] - cells.stress[s, a, b]) * unit
                squares[2] += error * error
                value += share * error * error
                slope = 2.0 * share * error * unit / cells.volumes[s]
                virial[s, a, b] = slope if a == b else 0.5 * slope
                virial[s, b, a] = virial[s, a, b]
        for i in range(n_atoms):
            s = cells.structure[i]
            by_energies[m, i] = energy[s]
            share = factors[1] * cells.force_share[i] * cells.has_forces[i] / 3.0
            for a in range(3):
                error = (forces[m, i, a] - cells.forces[i, a]) * cells.has_forces[i]
                square = error * error  # infinite in float32 where slopes would be
                squares[1] += square
                if width > 0.0:
                    root = np.sqrt(1.0 + square / width)
                    value += share * 2.0 * width * (root - 1.0)
                    by_forces[m, i, a] = 2.0 * share * error / root
                else:
                    value += share * square
                    by_forces[m, i, a] = 2.0 * share * error
                for b in range(3):
                    by_virials[m, i, a, b] = virial[s, a, b]
    return value
