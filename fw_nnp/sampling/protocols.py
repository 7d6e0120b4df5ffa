"""From protocols to runs, and from a run to labelled frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import ase.io
import numpy as np

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.errors import SpecError
from fw_nnp.core.hashing import content_id, digest
from fw_nnp.core.records import Configuration, Frame, Label
from fw_nnp.core.specs import (
    ImportSpec,
    MeltQuenchSpec,
    PositiveInt,
    PotentialSpec,
    ProtocolSpec,
    RattleSpec,
    SampleSpec,
    Spec,
    StrainSpec,
)
from fw_nnp.potentials import EmpiricalPotential, Segment, label_each

from .crystals import crystal, rattled_crystals, strained_crystals

GROUP = 16
"""Made cells per run: splits go by run, so a protocol of 64 cells gives four of them."""
_LARGEST_SEED = 900_000_000  # of LAMMPS' random numbers


class SamplingRun(Spec):
    """One independent piece of sampling; its frames never part in a split."""

    potential: PotentialSpec
    protocol: ProtocolSpec
    seed: PositiveInt
    size: PositiveInt
    """Number of cells it makes (1 for a trajectory or a file)."""

    @property
    def kind(self) -> str:
        return self.protocol.kind

    @cached_property
    def id(self) -> str:
        """``trj-`` over all that shapes the frames: more trajectories leave the first as is."""
        protocol = self.protocol.model_dump(mode="json", exclude={"trajectories", "count"})
        potential = self.potential.model_dump(mode="json")
        return content_id("trj", [potential, protocol, self.seed, self.size])


def sampling_runs(spec: SampleSpec, seed: int) -> list[SamplingRun]:
    """The runs of all protocols of `spec`, in order, each with a seed of its own."""
    return [
        SamplingRun(
            potential=spec.potential,
            protocol=protocol,
            seed=_seed(seed, number, part),
            size=size,
        )
        for number, protocol in enumerate(spec.protocols)
        for part, size in enumerate(_sizes(protocol))
    ]


def _sizes(protocol: ProtocolSpec) -> list[int]:
    """Number of cells of each run of `protocol`."""
    if isinstance(protocol, MeltQuenchSpec):
        return [1] * protocol.trajectories
    if isinstance(protocol, ImportSpec):
        return [1]
    full, rest = divmod(protocol.count, GROUP)
    return [GROUP] * full + ([rest] if rest else [])


def _seed(*numbers: int) -> int:
    return int(digest(*map(str, numbers))[:12], 16) % _LARGEST_SEED + 1


def run_sampling(
    run: SamplingRun, potential: EmpiricalPotential, directory: Path, base: Path = Path()
) -> list[tuple[Frame, Label | None]]:
    """The frames of `run` with their labels by `potential`; equal runs give equal frames.

    A given file may hold what the potential has no answer for: None.

    Parameters
    ----------
    directory
        Scratch for the engine's files.
    base
        Folder of the campaign file, where `ImportSpec` finds relative file names.
    """
    protocol = run.protocol
    if isinstance(protocol, MeltQuenchSpec):
        return [*_melt_quench(run, protocol, potential, directory)]
    labels: Sequence[Label | None]
    if isinstance(protocol, ImportSpec):
        cells = _import(protocol, base)
        labels = label_each(potential, cells, directory)
    else:
        cells = _made(run, protocol)
        labels = potential.label(cells, directory)
    frames = [Frame(configuration=cell, trajectory=run.id, sampler=run.kind) for cell in cells]
    return list(zip(frames, labels, strict=True))


def _melt_quench(
    run: SamplingRun, spec: MeltQuenchSpec, potential: EmpiricalPotential, directory: Path
) -> list[tuple[Frame, Label]]:
    element = run.potential.elements[0]
    snapshots = potential.run_md(
        crystal(spec, element),
        schedule(spec),
        timestep=spec.timestep,
        every=max(1, round(spec.every / spec.timestep)),
        pressure=spec.pressure,
        seed=run.seed,
        directory=directory,
    )
    return [
        (
            Frame(
                configuration=snapshot.configuration,
                trajectory=run.id,
                sampler=run.kind,
                step=snapshot.step,
                time=snapshot.time,
                temperature=snapshot.temperature,
            ),
            snapshot.label,
        )
        for snapshot in snapshots
    ]


def schedule(spec: MeltQuenchSpec) -> list[Segment]:
    """Heat, hold, quench."""
    ramps = (
        (spec.heat, spec.t_start, spec.t_melt),
        (spec.hold, spec.t_hold, spec.t_hold),
        (spec.quench, spec.t_hold, spec.t_start),
    )
    return [
        Segment(steps=round(time / spec.timestep), t_start=start, t_end=end)
        for time, start, end in ramps
    ]


def _made(run: SamplingRun, protocol: StrainSpec | RattleSpec) -> list[Configuration]:
    element = run.potential.elements[0]
    rng = np.random.default_rng(run.seed)
    if isinstance(protocol, StrainSpec):
        return strained_crystals(protocol, element, run.size, rng)
    return rattled_crystals(protocol, element, run.size, rng)


def refused_frames(run: SamplingRun, base: Path) -> dict[int, str]:
    """Frame of a given file -> why it is no configuration: NaN, no cell, no atoms."""
    if not isinstance(run.protocol, ImportSpec):
        return {}
    return _given(run.protocol, base)[1]


def _import(spec: ImportSpec, base: Path) -> list[Configuration]:
    cells, refused = _given(spec, base)
    if not cells:
        reasons = dict.fromkeys(refused.values())
        raise SpecError(f"no frame is a configuration: {'; '.join(reasons)}", place=spec.file)
    return cells


def _given(spec: ImportSpec, base: Path) -> tuple[list[Configuration], dict[int, str]]:
    """The configurations of a file, and the frames that are none."""
    path = base / spec.file
    try:
        found = ase.io.read(path, index=":")
    except (OSError, ValueError, KeyError, ase.io.formats.UnknownFileTypeError) as error:
        raise SpecError(
            f"cannot be read: {error}",
            place=str(path),
            remedy="a file that ase reads, extended xyz for example, beside the campaign",
        ) from error
    cells, refused = [], {}
    for number, atoms in enumerate(found):
        try:
            cells.append(from_atoms(atoms))
        except SpecError as error:
            refused[number] = f"{error.place}: {error.message}"
    return cells, refused
