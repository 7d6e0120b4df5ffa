"""Splits without leakage: parts that share no trajectory, or no near-duplicates.

Whole groups are dealt out. The parts come as near to their fractions as the groups allow, in
total and phase by phase, and every part has every phase of which there is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .errors import SpecError
from .near_duplicates import near_duplicate_groups
from .records import FloatArray, LabelledConfiguration

PARTS = ("train", "validation", "test")
_ABSENT = 1e6  # cost of a part without a phase: above any deviation from the fractions


def split(
    items: Sequence[LabelledConfiguration],
    fractions: Sequence[float],
    seed: int,
    by: Literal["trajectory", "near_duplicates", "random"] = "trajectory",
) -> tuple[list[LabelledConfiguration], list[LabelledConfiguration], list[LabelledConfiguration]]:
    """Train, validation and test items, each in the order of `items`.

    Parameters
    ----------
    fractions
        Three numbers that add up to 1; a part with fraction 0 stays empty.
    by
        ``trajectory``: no trajectory is cut (an item without one stands alone);
        ``near_duplicates``: nearly equal configurations stay together, wherever they come from;
        ``random``: item by item, equal configurations together.

    Raises
    ------
    SpecError
        Fewer groups than parts.
    """
    part = assign_parts(_groups(items, by), [item.phase for item in items], fractions, seed)
    parts: tuple[list[LabelledConfiguration], ...] = ([], [], [])
    for item, index in zip(items, part, strict=True):
        parts[index].append(item)
    return parts[0], parts[1], parts[2]


def _groups(items: Sequence[LabelledConfiguration], by: str) -> list[str]:
    """What must not be cut, item by item."""
    if by == "near_duplicates":
        return near_duplicate_groups([item.configuration for item in items])
    return [
        (item.trajectory if by == "trajectory" else "") or item.configuration.id for item in items
    ]


def assign_parts(
    groups: Sequence[str], phases: Sequence[str], fractions: Sequence[float], seed: int
) -> list[int]:
    """Part (0 train, 1 validation, 2 test) of each item, given its group and its phase.

    The answer depends on the set of items and the seed, not on their order.
    """
    if len(fractions) != 3 or abs(sum(fractions) - 1.0) > 1e-6 or min(fractions) < 0.0:
        raise SpecError(f"fractions {list(fractions)} are not three numbers that add up to 1")
    names = sorted(set(groups))
    used = [part for part, fraction in enumerate(fractions) if fraction > 0.0]
    if len(names) < len(used):
        raise SpecError(
            f"{len(names)} independent group(s) cannot fill {len(used)} parts",
            place="dataset split",
            remedy="sample more trajectories, set a fraction to 0, or split by: random",
        )
    counts = _counts(groups, phases, names)
    shares = np.array([fractions[part] for part in used])
    dealt = _deal(counts, shares, np.random.default_rng(seed))
    part_of = {name: used[part] for name, part in zip(names, dealt, strict=True)}
    return [part_of[group] for group in groups]


def _counts(groups: Sequence[str], phases: Sequence[str], names: list[str]) -> FloatArray:
    """(G, 1 + P): items of each group, in all and by phase."""
    row = {name: i for i, name in enumerate(names)}
    column = {phase: 1 + i for i, phase in enumerate(sorted(set(phases)))}
    counts = np.zeros((len(names), 1 + len(column)))
    for group, phase in zip(groups, phases, strict=True):
        counts[row[group], 0] += 1
        counts[row[group], column[phase]] += 1
    return counts


def _deal(counts: FloatArray, shares: FloatArray, random: np.random.Generator) -> NDArray[np.int64]:
    """Part of each group: largest first to where it costs least, then single moves downhill."""
    wanted = shares[:, None] * counts.sum(axis=0)
    part_of = np.zeros(len(counts), dtype=np.int64)
    held = np.zeros_like(wanted)
    order = random.permutation(len(counts))
    magnitude = np.floor(np.log2(counts[order, 0]))  # coarse, so that the seed has a say
    for group in order[np.argsort(-magnitude, kind="stable")]:
        count = counts[group]
        gain = (count * (count + 2.0 * (held - wanted)) / wanted).sum(axis=1)
        part_of[group] = np.argmin(gain)
        held[part_of[group]] += count
    while True:
        group, part, gain = _best_move(counts, part_of, held, wanted)
        if gain > -1e-9:
            return part_of
        held[part_of[group]] -= counts[group]
        held[part] += counts[group]
        part_of[group] = part


def _best_move(
    counts: FloatArray, part_of: NDArray[np.int64], held: FloatArray, wanted: FloatArray
) -> tuple[int, int, float]:
    """Group to move, part to move it to, and the change of cost."""
    # A part must have a phase that has a group for every part, if half an item is its share.
    needed = ((counts > 0).sum(axis=0) >= len(wanted)) & (wanted >= 0.5)
    needed[:, 0] = True

    def cost(part: int, numbers: FloatArray) -> FloatArray:
        """Of `part` if it held `numbers` (..., 1 + P)."""
        deviation = ((numbers - wanted[part]) ** 2 / wanted[part]).sum(axis=-1)
        absent = (needed[part] & (numbers <= 0)).sum(axis=-1)
        return np.asarray(deviation + _ABSENT * absent)

    parts = range(len(wanted))
    here = np.array([cost(part, held[part]) for part in parts])[:, None]
    arriving = np.stack([cost(part, held[part] + counts) for part in parts]) - here
    leaving = np.stack([cost(part, held[part] - counts) for part in parts]) - here
    every = np.arange(len(counts))
    change = arriving + leaving[part_of, every]
    change[part_of, every] = 0.0
    part, group = np.unravel_index(np.argmin(change), change.shape)
    return int(group), int(part), float(change[part, group])
