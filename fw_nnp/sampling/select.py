"""Which frames are worth a DFT label.

A selector only ranks the frames of one phase; quotas by phase, the force window, near-duplicates
and the spread over samplers and trajectories are the same for all of them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from fw_nnp.core.errors import SamplingError
from fw_nnp.core.records import FloatArray, Frame, Label
from fw_nnp.core.registry import Registry
from fw_nnp.core.specs import SelectSpec

from .features import features, standardised
from .phases import tagged

log = logging.getLogger(__name__)

DUPLICATE = 0.02
"""Frames nearer than this in standardised features (unrelated ones: 1.4) are the same thing."""


class Selector(Protocol):
    """Ranks frames: yields row numbers of `values`, each once, the most wanted first."""

    def __call__(self, values: FloatArray, rng: np.random.Generator) -> Iterator[int]: ...


SELECTORS: Registry[Selector] = Registry(
    "selector",
    {
        "farthest_point": "fw_nnp.sampling.select:farthest_point",
        "stride": "fw_nnp.sampling.select:stride",
        "random": "fw_nnp.sampling.select:random",
    },
)


def farthest_point(values: FloatArray, rng: np.random.Generator) -> Iterator[int]:
    """The frame nearest to the mean, then always the one farthest from all taken before."""
    nearest = np.full(len(values), np.inf)
    row = int(np.linalg.norm(values - values.mean(axis=0), axis=1).argmin())
    for _ in range(len(values)):
        yield row
        nearest = np.minimum(nearest, np.linalg.norm(values - values[row], axis=1))
        nearest[row] = -1.0
        row = int(nearest.argmax())


def stride(values: FloatArray, rng: np.random.Generator) -> Iterator[int]:
    """Evenly over the order of the pool: the middle of ever finer halves (van der Corput)."""
    n = len(values)
    bits = max(1, (n - 1).bit_length())
    for i in range(2**bits):
        row = int(format(i, f"0{bits}b")[::-1], 2)
        if row < n:
            yield row


def random(values: FloatArray, rng: np.random.Generator) -> Iterator[int]:
    """Any order."""
    yield from rng.permutation(len(values)).tolist()


def select_frames(
    frames: Sequence[Frame], labels: Sequence[Label], spec: SelectSpec, seed: int
) -> list[str]:
    """Ids of the configurations to relabel, by phase and in order of importance.

    Frames without a phase are tagged. A phase with fewer frames than wished gives what it has;
    the log says so.

    Parameters
    ----------
    frames, labels
        The pool and its empirical labels, in the same order.
    """
    if not frames:
        raise SamplingError("the pool is empty", place="select", remedy="add protocols to sample")
    selector = SELECTORS.get(spec.method)
    frames = tagged(frames)
    fit = [_fits(frame, label, spec) for frame, label in zip(frames, labels, strict=True)]
    values = standardised(features([frame.configuration for frame in frames]))
    chosen: list[str] = []
    for phase, wished in spec.phases.items():
        rows = [row for row, frame in enumerate(frames) if frame.phase == phase and fit[row]]
        order = selector(values[rows], np.random.default_rng(seed)) if rows else iter(())
        picked = _pick(order, [frames[row] for row in rows], values[rows], wished)
        chosen += [frames[rows[row]].configuration.id for row in picked]
        if len(picked) < wished:
            log.warning(
                "selected %d %s frames where %d were wished: %d of the pool's %d qualify",
                len(picked),
                phase,
                wished,
                len(rows),
                sum(frame.phase == phase for frame in frames),
            )
    return chosen


def _fits(frame: Frame, label: Label, spec: SelectSpec) -> bool:
    """Few enough atoms and no force above the window."""
    if spec.max_atoms is not None and frame.configuration.n_atoms > spec.max_atoms:
        return False
    forces = label.forces
    return forces is None or bool(np.linalg.norm(forces, axis=1).max() <= spec.max_force)


def _pick(
    order: Iterator[int], frames: Sequence[Frame], values: FloatArray, wished: int
) -> list[int]:
    """Up to `wished` rows in `order`, without near-duplicates.

    Rows of a sampler or a trajectory that has given its share wait until the others run short.
    """
    shares = _shares(frames, wished)
    counts: Counter[str] = Counter()
    taken: list[int] = []
    postponed: list[int] = []
    for rows, fair in ((order, True), (iter(postponed), False)):
        while len(taken) < wished and (row := next(rows, None)) is not None:
            givers = (frames[row].sampler, frames[row].trajectory)
            if fair and any(counts[giver] >= shares[giver] for giver in givers):
                postponed.append(row)
            elif _is_new(values, row, taken):
                counts.update(givers)
                taken.append(row)
    return taken


def _shares(frames: Sequence[Frame], wished: int) -> dict[str, float]:
    """How many frames each sampler, and each trajectory within its sampler, should give at most.

    Samplers share evenly, so that strained crystals, which make the elastic constants, are not
    crowded out by hot frames; a trajectory gives up to twice its even share, so that a split by
    trajectory finds the phase in all its parts.
    """
    samplers = {frame.trajectory: frame.sampler for frame in frames}
    lengths = Counter(samplers.values())
    even = wished / max(1, len(lengths))
    return {
        **{sampler: even for sampler in lengths},
        **{name: max(1.0, 2.0 * even / lengths[kind]) for name, kind in samplers.items()},
    }


def _is_new(values: FloatArray, row: int, taken: Sequence[int]) -> bool:
    distances = np.linalg.norm(values[list(taken)] - values[row], axis=1)
    return bool((distances > DUPLICATE).all())
