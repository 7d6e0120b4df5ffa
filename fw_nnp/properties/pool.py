"""What was sampled and what was selected from it, small enough to draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Frame

from .errors import UNTAGGED

POOL_POINTS = 3000


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The pool of sampled frames, thinned to about `POOL_POINTS` for a figure.

    Attributes
    ----------
    frames, selected
        Phase -> number of frames in the whole pool, and of those selected for labels.
    temperature, volume, energy
        K, Å³/atom and eV/atom (at the sampler's own potential) of the frames that are drawn.
    phase, chosen
        Their phases, and whether each was selected.
    """

    frames: Mapping[str, int]
    selected: Mapping[str, int]
    temperature: tuple[float, ...]
    volume: tuple[float, ...]
    energy: tuple[float, ...]
    phase: tuple[str, ...]
    chosen: tuple[bool, ...]


def summarise_pool(
    frames: Sequence[Frame], energies: Sequence[float], selected: Collection[str]
) -> Pool:
    """The pool as the report draws it: every selected frame, the others evenly thinned.

    Parameters
    ----------
    frames
        The whole pool, tagged with phases.
    energies
        Energy of each cell at the sampler's potential, eV.
    selected
        Ids of the selected configurations.
    """
    if len(frames) != len(energies):
        raise SpecError(f"{len(frames)} frames and {len(energies)} energies")
    wanted = set(selected)
    chosen = np.array([frame.configuration.id in wanted for frame in frames], dtype=bool)
    others = np.flatnonzero(~chosen)
    if others.size > POOL_POINTS:
        others = others[np.linspace(0, others.size - 1, POOL_POINTS).round().astype(int)]
    shown = np.sort(np.concatenate([np.flatnonzero(chosen), others])).tolist()
    drawn = [frames[i] for i in shown]
    return Pool(
        frames=dict(Counter(map(_phase, frames))),
        selected=dict(Counter(_phase(f) for f, c in zip(frames, chosen, strict=True) if c)),
        temperature=tuple(round(float(f.temperature), 1) for f in drawn),
        volume=tuple(round(f.configuration.volume / f.configuration.n_atoms, 4) for f in drawn),
        energy=tuple(
            round(float(energies[i]) / f.configuration.n_atoms, 5)
            for i, f in zip(shown, drawn, strict=True)
        ),
        phase=tuple(map(_phase, drawn)),
        chosen=tuple(bool(chosen[i]) for i in shown),
    )


def _phase(frame: Frame) -> str:
    return frame.phase or UNTAGGED
