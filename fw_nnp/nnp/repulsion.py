"""A fixed repulsion at distances that no training set covers.

The universal potential of Ziegler, Biersack and Littmark (The Stopping and Range of Ions in
Solids, 1985), switched off well below bonding distances. It has no parameters: training
subtracts it from the labels, prediction adds it.
"""

from __future__ import annotations

import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor

from fw_nnp.core.records import FloatArray, IntArray

from .neighbours import Int32Array

COULOMB = 14.399645  # e²/(4 pi eps0) in eV Å
COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
EXPONENTS = (3.1998, 0.94229, 0.4029, 0.20162)
INNER, OUTER = 0.5, 0.85
"""Full below INNER, zero above OUTER, as fractions of the sum of covalent radii."""


def reach(numbers: IntArray) -> float:
    """Distance in Å beyond which no pair of these elements repels."""
    return float(2.0 * OUTER * covalent_radii[numbers].max())


def repulsion_by_atom(
    numbers: IntArray, vectors: FloatArray, centres: IntArray, neighbours: Int32Array
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Energies (N,) eV, forces (N, 3) eV/Å and virials (N, 3, 3) eV of N atoms.

    Parameters
    ----------
    numbers
        (N,) atomic numbers.
    vectors, centres, neighbours
        (E, 3) Å, (E,) and (E,): all pairs, each from both its ends.
    """
    close = np.nonzero(np.einsum("ea,ea->e", vectors, vectors) < reach(numbers) ** 2)[0]
    atoms, others, vectors = centres[close], neighbours[close], vectors[close]
    halves, gradients = pair_repulsion(
        torch.from_numpy(vectors),
        torch.from_numpy(numbers[atoms]),
        torch.from_numpy(numbers[others]),
    )
    g = gradients.numpy()
    energies, forces = np.zeros(len(numbers)), np.zeros((len(numbers), 3))
    virials = np.zeros((len(numbers), 3, 3))
    np.add.at(energies, atoms, halves.numpy())
    np.add.at(forces, atoms, g)
    np.subtract.at(forces, others, g)
    np.add.at(virials, atoms, vectors[:, :, None] * g[:, None, :])
    return energies, forces, virials


def pair_repulsion(vectors: Tensor, z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
    """Half of every pair's energy (E,) eV and its slope with the vector (E, 3) eV/Å.

    Switched off between INNER and OUTER, and exactly zero beyond.

    Parameters
    ----------
    vectors
        (E, 3) Å.
    z1, z2
        (E,) atomic numbers.
    """
    radii = vectors.new_tensor(covalent_radii)
    r = (vectors * vectors).sum(1).sqrt()
    limits = OUTER * (radii[z1] + radii[z2])
    energies, slopes = _zbl(r, z1.to(r), z2.to(r), limits)
    return 0.5 * energies, (0.5 * slopes / r)[:, None] * vectors


def _zbl(r: Tensor, z1: Tensor, z2: Tensor, limits: Tensor) -> tuple[Tensor, Tensor]:
    """Pair energy eV and its slope eV/Å."""
    length = 0.46850 / (z1**0.23 + z2**0.23)
    strength = COULOMB * z1 * z2
    screen, screen_slope = torch.zeros_like(r), torch.zeros_like(r)
    for c, b in zip(COEFFICIENTS, EXPONENTS, strict=True):
        part = c * torch.exp(-b * r / length)
        screen = screen + part
        screen_slope = screen_slope - b / length * part
    energy = strength * screen / r
    slope = strength * (screen_slope / r - screen / r**2)
    width = limits * (1.0 - INNER / OUTER)
    x = ((limits - r) / width).clamp(0.0, 1.0)
    switch = x**4 * (35.0 - 84.0 * x + 70.0 * x**2 - 20.0 * x**3)
    switch_slope = -140.0 * x**3 * (1.0 - x) ** 3 / width
    return energy * switch, slope * switch + energy * switch_slope
