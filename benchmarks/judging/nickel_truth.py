"""The truth behind the nickel data: the EAM itself, and fresh trajectories of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.errors import SamplingError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import PotentialSpec
from fw_nnp.potentials import EmpiricalPotential, Segment, make_potential
from fw_nnp.sampling.phases import tag
from fw_nnp.services.engines import find_programs

EAM_FILE = "eam/NiNb_ZhangAshcraftMendelev_2016.eam.fs"
TIMESTEP = 2.0  # fs
EVERY = 125  # steps, 0.25 ps: longer than the memory of forces


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trajectory of 108 atoms at zero pressure.

    Attributes
    ----------
    before
        (K, steps) of each stretch before frames are taken.
    temperature
        K, while they are taken.
    phase
        What most of the frames must be, or the run shows something else than its name.
    """

    before: tuple[tuple[float, int], ...]
    temperature: float
    phase: str


RUNS: Mapping[str, Run] = {
    "300 K": Run(before=((300.0, 2000),), temperature=300.0, phase="solid"),
    "1600 K": Run(before=((800.0, 1000), (1600.0, 2000)), temperature=1600.0, phase="solid"),
    "liquid 2200 K": Run(
        before=((4000.0, 5000), (2200.0, 3000)), temperature=2200.0, phase="liquid"
    ),
}


def nickel_eam(data: Path) -> EmpiricalPotential:
    """The potential that made the labels of train.h5."""
    spec = PotentialSpec(style="eam/fs", file=EAM_FILE, elements=["Ni", "Nb"])
    lmp = find_programs().require("lmp")
    return make_potential(spec, lmp=lmp, base=data, potentials_dir=None)


def trajectory(
    potential: EmpiricalPotential, name: str, frames: int, directory: Path
) -> list[LabelledConfiguration]:
    """`frames` frames of the run `name`, labelled by the potential; equal at every call."""
    run = RUNS[name]
    stretches = [*run.before, (run.temperature, frames * EVERY)]
    snapshots = potential.run_md(
        from_atoms(bulk("Ni", "fcc", a=3.52, cubic=True).repeat(3)),
        [Segment(steps=steps, t_start=t, t_end=t) for t, steps in stretches],
        timestep=TIMESTEP,
        every=EVERY,
        pressure=0.0,
        seed=20_000 + int(run.temperature),
        directory=directory,
    )[-frames:]
    cells = [snapshot.configuration for snapshot in snapshots]
    found = [one.phase for one in tag(cells)]
    if found.count(run.phase) < 0.9 * len(found):
        raise SamplingError(
            f"{found.count(run.phase)} of {len(found)} frames are {run.phase}", place=name
        )
    return [
        LabelledConfiguration(
            configuration=snapshot.configuration, label=snapshot.label, trajectory=name
        )
        for snapshot in snapshots
    ]
