"""Things to put into a store, for the tests that need one."""

from __future__ import annotations

import numpy as np

from fw_nnp.core.blocks import Block
from fw_nnp.core.records import LevelOfTheory
from fw_nnp.store.store import Store

EAM = LevelOfTheory(code="empirical", settings={"style": "eam/fs", "sha256": "0" * 64})
DFT = LevelOfTheory(code="espresso", settings={"ecutwfc": 272.0})


def filled_with_theories(store: Store) -> Store:
    store.prepare()
    store.add_theory(EAM)
    store.add_theory(DFT)
    return store


def block(
    n: int, *, n_atoms: int = 4, seed: int = 0, theory: LevelOfTheory = DFT, numbers: int = 13
) -> Block:
    """Random cells with random labels, ten to a trajectory, phases in turn."""
    rng = np.random.default_rng([seed, n_atoms])
    stress = rng.normal(scale=0.05, size=(n, 3, 3))
    return Block.of_arrays(
        theory_id=theory.id,
        numbers=numbers,
        cells=4.05 * np.eye(3) + rng.normal(scale=0.05, size=(n, 3, 3)),
        positions=rng.uniform(0, 4.05, (n, n_atoms, 3)),
        energies=n_atoms * rng.normal(-3.0, 0.1, n),
        forces=rng.normal(size=(n, n_atoms, 3)),
        stress=stress + stress.transpose(0, 2, 1),
        trajectories=[f"trj-{seed}-{i // 10}" for i in range(n)],
        phases=[("solid", "interface", "liquid")[i % 3] for i in range(n)],
    )
