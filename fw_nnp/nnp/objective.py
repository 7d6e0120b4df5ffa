"""What a training step makes small: the loss of a batch, differentiable in the model's weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fw_nnp.core.specs import LossWeights

from .batch import AtomBatch
from .compiled import compiled
from .loss import Errors, Targets, components, errors, loss, residuals
from .loss_kernels import Cells, loss_and_slopes
from .potential import Potential


def objective(
    model: Potential, batch: AtomBatch, targets: Targets, weights: LossWeights
) -> tuple[Tensor, Errors]:
    """Loss of a batch, float64, and its errors; over all members of a committee."""
    found = model.evaluate_members(batch)
    if compiled(found[0]):
        value, squares = _Objective.apply(*found, _cells(model, batch, targets), weights)
        return value, Errors(squares=squares, counts=components(targets, len(found[0])))
    wrong = residuals(model.of_structures(batch, *found), targets)
    return loss(wrong, targets, weights), errors(wrong, targets)


def _cells(model: Potential, batch: AtomBatch, targets: Targets) -> Cells:
    arrays = {name: getattr(targets, name).numpy() for name in Targets.__dataclass_fields__}
    return Cells(
        structure=batch.structure.numpy(),
        atom_energies=model.reference_energies.numpy()[batch.species.numpy()],
        volumes=batch.volumes.numpy(),
        **arrays,
    )


class _Objective(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        energies: Tensor,
        forces: Tensor,
        virials: Tensor,
        cells: Cells,
        weights: LossWeights,
    ) -> tuple[Tensor, Tensor]:
        found = (energies, forces, virials)
        slopes = [torch.empty(part.shape, dtype=part.dtype) for part in found]
        squares = torch.empty(3, dtype=torch.float64)
        value = loss_and_slopes(
            *(part.detach().contiguous().numpy() for part in found),
            cells,
            np.array([weights.energy, weights.forces, weights.stress, weights.robust or 0.0]),
            *(part.numpy() for part in slopes),
            squares.numpy(),
        )
        ctx.slopes = slopes
        ctx.mark_non_differentiable(squares)
        return torch.tensor(value, dtype=torch.float64), squares

    @staticmethod
    def backward(ctx: Any, by_value: Tensor, by_squares: Tensor) -> tuple[Tensor | None, ...]:
        factor = float(by_value)
        return *(slope * factor if factor != 1.0 else slope for slope in ctx.slopes), None, None
