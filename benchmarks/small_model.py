"""A model for the benchmarks that need one: aluminium, labelled by effective medium theory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

from fw_nnp.core.atoms import from_atoms, label_from_calculator
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.nnp import train_stage


def aluminium(seconds: float, directory: Path | None = None) -> Path:
    """Train the default model, of one network, for so long; its file."""
    directory = directory or Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    items = []
    for scale in rng.choice([0.02, 0.08, 0.15], size=60):
        atoms = bulk("Al", cubic=True, a=rng.uniform(3.9, 4.15)) * (2, 2, 2)
        strain = np.eye(3) + rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.rattle(scale, rng=rng)
        configuration = from_atoms(atoms)
        label = label_from_calculator(configuration, EMT(), "thy-emt")
        items.append(LabelledConfiguration(configuration=configuration, label=label))
    stage = StageSpec(name="benchmark", epochs=1000, time_limit=f"{seconds} s")
    spec = ModelSpec(members=1)
    return train_stage(stage, spec, items[:50], items[50:], directory, seed=1).model_path
