"""How far a stage is, the learning rate there, and how strongly parameters are held back."""

from __future__ import annotations

from math import cos, pi

from torch import Tensor

from fw_nnp.core.specs import StageSpec

WARM_UP = 50  # steps
FLOOR = 0.002  # of the learning rate, at the end
FEW_ATOMS = 20_000  # labelled ones, up to which the weight decay acts in full
MANY_ATOMS = 40_000  # from which it pulls fast functions no harder than slow ones


def fraction_done(stage: StageSpec, epoch: float, seconds: float) -> float:
    """0 at the start, 1 at the last epoch or at the time limit, whichever comes first."""
    done = epoch / stage.epochs
    if stage.time_limit is not None:
        done = max(done, seconds / stage.time_limit)
    return min(done, 1.0)


def learning_rate(stage: StageSpec, step: int, fraction: float) -> float:
    """Linear warm-up over the first steps, then half a cosine down to almost nothing."""
    decay = FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + cos(pi * fraction))
    return stage.learning_rate * min(1.0, (step + 1) / WARM_UP) * decay


def weight_decay(stage: StageSpec, n_atoms: int, roughness: Tensor) -> Tensor:
    """Pull per step and unit of learning rate; the more labels, the less they need a prior.

    What varies fast is pulled harder (`Potential.roughness`): a prior for smooth surfaces.
    """
    pull = stage.weight_decay * min(1.0, FEW_ATOMS / n_atoms)
    return pull * (1.0 + max(0.0, 1.0 - n_atoms / MANY_ATOMS) * roughness)
