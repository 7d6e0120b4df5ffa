"""Train and predict: ``python -m trainers MODULE SECONDS SEED`` in a folder with the cells.

A module has ``train(folder, epochs, seed)``, which leaves a model in a folder,
``calculator(folder)`` of ASE, ``version()``, a few words as ``SETTINGS`` and, as ``EPOCHS``, how
many it has of itself, or None: then it is to fill the time. Leaves ``answer.npz``: energies, forces
one cell after the other, and what the training cost.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
from ase.io import read

from .work import TEST, epochs_within, spent


def main() -> None:
    name, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    module = importlib.import_module(f"trainers.{name}")

    def train(folder: str, epochs: int) -> None:
        Path(folder).mkdir()
        module.train(Path(folder), epochs, seed)

    epochs = module.EPOCHS or epochs_within(lambda n: train(f"trial-{n}", n), seconds)
    cost = spent(lambda: train("final", epochs))
    calculator = module.calculator(Path("final"))
    energies, forces = [], []
    for atoms in read(TEST, ":"):
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
    np.savez(
        "answer.npz",
        energies=energies,
        forces=np.concatenate(forces),
        epochs=epochs,
        wall_s=cost.wall_s,
        core_s=cost.core_s,
        version=module.version(),
        settings=module.SETTINGS,
    )


main()
