"""Cells of one metal as cells of another (G. S. Jung, APL Mach. Learn. 2, 046102 (2024)).

Cell and positions grow by the ratio of the nearest-neighbour distances and the elements get
other names; the labels come afterwards, from the target's own potential and from DFT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase.data import atomic_numbers

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, Frame
from fw_nnp.core.specs import TranslationSpec


def translate(frames: Sequence[Frame], spec: TranslationSpec) -> list[Frame]:
    """`frames` in the elements of the target, scaled.

    Trajectory, step and phase stay; the sampler tells where they come from, for example
    ``melt_quench:Ni>Al``.
    """
    return [
        replace(
            frame,
            configuration=_translated(frame.configuration, spec),
            sampler=f"{frame.sampler}:{_arrow(frame.configuration, spec)}",
        )
        for frame in frames
    ]


def _translated(configuration: Configuration, spec: TranslationSpec) -> Configuration:
    """Scaled by the ratio of lattice constants, averaged over the atoms of an alloy."""
    unknown = set(configuration.elements) - set(spec.elements)
    if unknown:
        raise SpecError(
            f"no target for {', '.join(sorted(unknown))}",
            place="translate.elements",
            remedy="name a target for each sampled element, for example {Ni: Al}",
        )
    a = spec.lattice_constants
    targets = [spec.elements[symbol] for symbol in configuration.symbols]
    ratios = [a[new] / a[old] for old, new in zip(configuration.symbols, targets, strict=True)]
    scale = float(np.mean(ratios))
    return Configuration(
        cell=scale * configuration.cell,
        positions=scale * configuration.positions,
        numbers=np.array([atomic_numbers[target] for target in targets]),
        pbc=configuration.pbc,
    )


def _arrow(configuration: Configuration, spec: TranslationSpec) -> str:
    return ",".join(f"{old}>{spec.elements[old]}" for old in configuration.elements)
