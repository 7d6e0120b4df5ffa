"""An EAM potential on the neighbours of a model, with its exact derivative.

Between the entries of its tables it is the piecewise cubic of LAMMPS' pair_style eam, so that the
two agree to rounding. Energies are those of atoms: F_i(rho_i) and half of each of its pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import FloatArray, IntArray
from fw_nnp.potentials.setfl import Setfl

from .jit import serial
from .neighbours import Pairs

Terms = tuple[FloatArray, FloatArray, FloatArray]
"""Energies (N,) eV, forces (N, 3) eV/Å and virials (N, 3, 3) eV of N atoms."""


class Eam:
    """The potential of a file, for the elements of a model.

    Parameters
    ----------
    tables
        Of the file.
    elements
        Of the model, in order; species are indices into them.

    Raises
    ------
    SpecError
        An element that is not in the file.
    """

    def __init__(self, tables: Setfl, elements: Sequence[str]) -> None:
        unknown = [element for element in elements if element not in tables.elements]
        if unknown:
            raise SpecError(
                f"the baseline describes {', '.join(tables.elements)}, not {', '.join(unknown)}",
                place=tables.spec.file,
                remedy="take a potential of all elements of the labels, or train without one",
            )
        self.tables = tables
        self.cutoff = tables.cutoff
        own = [tables.elements.index(element) for element in elements]
        self.steps = tables.d_r, tables.d_rho
        self.embedding = cubics(tables.embedding[own])
        self.density = cubics(tables.density[np.ix_(own, own)])
        self.pair = cubics(tables.pair[np.ix_(own, own)])

    def by_atom(self, species: IntArray, pairs: Pairs) -> Terms:
        """What each atom of `species` (N,) has; pairs beyond the cutoff do not count."""
        n = len(species)
        energies, forces, virials = np.zeros(n), np.zeros((n, 3)), np.zeros((n, 3, 3))
        _eam(
            pairs.vectors,
            pairs.starts,
            pairs.neighbours,
            species,
            self.cutoff,
            *self.steps,
            self.embedding,
            self.density,
            self.pair,
            energies,
            forces,
            virials,
        )
        return energies, forces, virials


def cubics(tables: FloatArray) -> FloatArray:
    """Coefficients (..., n, 4) of t³, t², t and 1 between the entries of tables (..., n).

    t runs from 0 to 1. Slopes are differences over five entries, over fewer at the ends.
    """
    f = tables
    slopes = np.empty_like(f)
    slopes[..., 2:-2] = (f[..., :-4] - f[..., 4:] + 8.0 * (f[..., 3:-1] - f[..., 1:-3])) / 12.0
    slopes[..., [1, -2]] = 0.5 * (f[..., [2, -1]] - f[..., [0, -3]])
    slopes[..., [0, -1]] = f[..., [1, -1]] - f[..., [0, -2]]
    found = np.zeros((*f.shape, 4))
    rise, here, there = np.diff(f), slopes[..., :-1], slopes[..., 1:]
    found[..., :-1, 0] = here + there - 2.0 * rise
    found[..., :-1, 1] = 3.0 * rise - 2.0 * here - there
    found[..., 2] = slopes
    found[..., 3] = f
    return found


@serial
def _place(x, step, count):  # type: ignore[no-untyped-def]
    """Interval of x in a table of `count` entries, and how far in it, at most 1."""
    t = x / step
    m = max(0, min(int(t), count - 2))
    return m, min(t - m, 1.0)


@serial
def _value(c, t):  # type: ignore[no-untyped-def]
    return ((c[0] * t + c[1]) * t + c[2]) * t + c[3]


@serial
def _slope(c, t):  # type: ignore[no-untyped-def]
    return (3.0 * c[0] * t + 2.0 * c[1]) * t + c[2]


@serial
def _eam(  # type: ignore[no-untyped-def]
    vectors,
    starts,
    neighbours,
    species,
    cutoff,
    d_r,
    d_rho,
    embedding,
    density,
    pair,
    energies,
    forces,
    virials,
):
    n_species, n_rho, n_r = len(embedding), embedding.shape[1], pair.shape[2]
    by_density = np.empty(len(species))  # F'
    for i in range(len(species)):
        own = species[i]
        rho = 0.0
        energy = 0.0
        for other in range(n_species):
            for e in range(starts[i * n_species + other], starts[i * n_species + other + 1]):
                x, y, z = vectors[e, 0], vectors[e, 1], vectors[e, 2]
                r = np.sqrt(x * x + y * y + z * z)
                if r < cutoff:
                    m, t = _place(r, d_r, n_r)
                    rho += _value(density[own, other, m], t)
                    energy += 0.5 * _value(pair[own, other, m], t) / r
        m, t = _place(rho, d_rho, n_rho)
        by_density[i] = _slope(embedding[own, m], t) / d_rho
        energies[i] = energy + _value(embedding[own, m], t)
        highest = (n_rho - 1) * d_rho
        if rho > highest:  # goes on as a straight line
            energies[i] += by_density[i] * (rho - highest)
    for i in range(len(species)):
        own = species[i]
        for other in range(n_species):
            for e in range(starts[i * n_species + other], starts[i * n_species + other + 1]):
                x, y, z = vectors[e, 0], vectors[e, 1], vectors[e, 2]
                r = np.sqrt(x * x + y * y + z * z)
                if r < cutoff:
                    m, t = _place(r, d_r, n_r)
                    bond = 0.5 * (_slope(pair[own, other, m], t) / d_r)
                    bond = (bond - 0.5 * _value(pair[own, other, m], t) / r) / r
                    mine = bond + by_density[i] * _slope(density[own, other, m], t) / d_r
                    theirs = _slope(density[other, own, m], t) / d_r
                    theirs = bond + by_density[neighbours[e]] * theirs
                    for a in range(3):
                        forces[i, a] += (mine + theirs) * vectors[e, a] / r
                        for b in range(3):
                            virials[i, a, b] += vectors[e, a] * mine * vectors[e, b] / r
