"""The compiled part of the model between moments and H = dE/dM, differentiable in its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import atom_kernels as kernels
from .compiled import in_parts
from .sphere import triples

Array = NDArray[np.floating]
CONTRACTIONS = 3
"""Of radial functions: the first matrices of a species, in the order of `kernels`."""


class Constants(NamedTuple):
    """What of a model does not change in training.

    Attributes
    ----------
    sizes
        Of its layers and matrices.
    conditioner
        (K, K), which makes the radial functions of each species orthonormal.
    scales
        (Z, M, 2, features): mean and deviation.
    """

    sizes: kernels.Sizes
    conditioner: Array
    scales: Array


def energies_and_slopes(
    moments: Tensor, species: Tensor, constants: Constants, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Energies (M, A) and H = dE/dM (M, Z K, (l_max + 1)², A) from moments (Z K, ..., A).

    Parameters
    ----------
    parameters
        For each species its contractions of pairs, cubes and embedded densities, strengths of
        these, then weight and bias of each layer.
    """
    energies, h = _AtomModel.apply(moments, species, constants, *parameters)
    return energies, h


def mean_energies_and_slopes(
    moments: Tensor, species: Tensor, constants: Constants, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """As `energies_and_slopes`, (A,) and (Z K, ..., A): the members' mean, without gradients."""
    energies, h = _forward(moments, _arguments(moments, species, constants, parameters), 1)
    return energies[0], h[0]


def _arguments(
    moments: Tensor, species: Tensor, constants: Constants, parameters: Sequence[Tensor]
) -> tuple[Any, ...]:
    """What the kernels take after the moments."""
    arrays = [parameter.detach().numpy() for parameter in parameters]
    n_species = len(constants.scales)
    table = triples(constants.sizes.l_cubic, moments.numpy().dtype.name)
    atoms, blocks = _blocks(species.numpy(), n_species)
    packed = _pack(arrays, constants, n_species)
    return atoms, blocks, *packed, constants.scales, constants.sizes, table


def _forward(moments: Tensor, arguments: tuple[Any, ...], answers: int) -> tuple[Tensor, Tensor]:
    """Energies and H: one answer for each member, or one for all."""
    energies = moments.new_empty(answers, moments.shape[2])
    h = moments.new_empty(answers, *moments.shape)
    in_parts(
        kernels.forward,
        len(arguments[1]),
        moments.numpy(),
        *arguments,
        energies.numpy(),
        h.numpy(),
        atoms_each=kernels.BLOCK,
    )
    return energies, h


class _AtomModel(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, moments: Tensor, species: Tensor, constants: Constants, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        arguments = _arguments(moments, species, constants, parameters)
        ctx.arguments = moments, arguments, constants
        return _forward(moments, arguments, constants.scales.shape[1])

    @staticmethod
    def backward(ctx: Any, by_energies: Tensor, by_h: Tensor) -> tuple[Tensor | None, ...]:
        moments, arguments, constants = ctx.arguments
        blocks, weights = arguments[1], arguments[2]
        out = np.empty((len(blocks), *weights.shape[1:]), weights.dtype)
        in_parts(
            kernels.backward,
            len(blocks),
            moments.numpy(),
            *arguments,
            by_energies.contiguous().numpy(),
            by_h.contiguous().numpy(),
            out,
            atoms_each=kernels.BLOCK,
        )
        by_species = [out[blocks[:, 0] == z].sum(0) for z in range(len(weights))]
        # Copies lie where torch's memory does: products of matrices round by it.
        gradients = [torch.from_numpy(g).clone() for g in _unpack(by_species, constants)]
        return None, None, None, *gradients


def _blocks(
    species: NDArray[np.int64], n_species: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Atoms sorted by species, and the blocks of them: species, first and last."""
    atoms = np.argsort(species, kind="stable") if n_species > 1 else np.arange(len(species))
    ends = np.searchsorted(species[atoms], np.arange(n_species + 1))
    blocks = [
        (z, first, min(first + kernels.BLOCK, ends[z + 1]))
        for z in range(n_species)
        for first in range(ends[z], ends[z + 1], kernels.BLOCK)
    ]
    return atoms, np.array(blocks, dtype=np.int64).reshape(-1, 3)


def _shapes(sizes: kernels.Sizes) -> Iterator[tuple[int, ...]]:
    """Shapes of the parameters of one species and member, in the order of the kernels."""
    yield 2 * sizes.pairs, sizes.functions
    yield sizes.cubic, sizes.functions
    yield sizes.embedded, sizes.functions
    yield sizes.embedded, 2
    layers = sizes.layers.tolist()
    for a, b in pairwise(layers):
        yield b, a
        yield b, 1


def _pack(arrays: Sequence[Array], constants: Constants, n_species: int) -> tuple[Array, Array]:
    """All weights (Z, M, P), and the same with every matrix transposed."""
    per_species = len(arrays) // n_species
    weights, turned = [], []
    for start in range(0, len(arrays), per_species):
        own = arrays[start : start + per_species]
        mine = [_contract(learned, constants.conditioner) for learned in own[:CONTRACTIONS]]
        mine += own[CONTRACTIONS:]
        members = len(mine[0])
        weights.append(np.concatenate([m.reshape(members, -1) for m in mine], axis=1))
        turned.append(np.concatenate([m.swapaxes(1, 2).reshape(members, -1) for m in mine], axis=1))
    return np.stack(weights), np.stack(turned)


def _contract(learned: Array, matrix: Array) -> Array:
    """(M, densities, Z K) of the radial functions that `matrix` (K, K) makes."""
    shape = learned.shape
    return (learned.reshape(-1, len(matrix)) @ matrix).reshape(shape)


def _unpack(by_species: Sequence[Array], constants: Constants) -> Iterator[Array]:
    """Gradients in the parameters from those in the weights, (M, P) each."""
    for gradient in by_species:
        start = 0
        for index, shape in enumerate(_shapes(constants.sizes)):
            size = shape[0] * shape[1]
            part = gradient[:, start : start + size].reshape(len(gradient), *shape)
            start += size
            yield _contract(part, constants.conditioner.T) if index < CONTRACTIONS else part
