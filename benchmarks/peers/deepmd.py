"""deepmd-kit: se_e2_a of the usual size, PyTorch backend, by its Python interface.

It finds neighbours within the step. The wheel's compiled operators refuse any torch but 2.11, which
PyPI has with CUDA only; this model does not use them, so they are not looked for.
"""

# ruff: noqa: E402
from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

os.environ["DP_INTERFACE_PREC"] = "low"

import deepmd.env

deepmd.env.SHARED_LIB_DIR = Path.cwd()

import torch
from deepmd.pt.model.model import get_model

from .work import ELEMENT, Cells, Work, in_turn

NEURONS = (25, 50, 100)
MODEL = {
    "type_map": [ELEMENT],
    "descriptor": {
        "type": "se_e2_a",
        "rcut_smth": 0.5,
        "sel": [80],
        "neuron": list(NEURONS),
        "axis_neuron": 16,
        "precision": "float32",
        "seed": 1,
    },
    "fitting_net": {"neuron": [240, 240, 240], "precision": "float32", "seed": 1},
}


class Batch:
    """Tensors of some cells."""

    def __init__(self, cells: Cells, chosen: range) -> None:
        picked = list(chosen)
        volumes = abs(np.linalg.det(cells.cell[picked]))
        self.coordinates = tensor(cells.positions[picked]).reshape(len(picked), -1)
        self.box = tensor(cells.cell[picked]).reshape(len(picked), 9)
        self.types = torch.zeros(len(picked), cells.n_atoms, dtype=torch.long)
        self.energy = tensor(cells.energy[picked])[:, None]
        self.forces = tensor(cells.forces[picked])
        self.virial = tensor(-volumes[:, None, None] * cells.stress[picked]).reshape(-1, 9)

    def evaluate(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return model(self.coordinates, self.types, box=self.box)


def training(cells: Cells) -> Work:
    model = make_model(cells).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = in_turn([Batch(cells, chosen) for chosen in cells.batches()])

    def step() -> None:
        batch = next(batches)
        found = batch.evaluate(model)
        loss = (
            ((found["energy"] - batch.energy) / cells.n_atoms).square().mean()
            + (found["force"] - batch.forces).square().mean()
            + ((found["virial"] - batch.virial) / cells.n_atoms).square().mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return describe(model, step, cells.batch_size * cells.n_atoms)


def inference(cells: Cells) -> Work:
    model = make_model(cells).eval()
    batch = Batch(cells, range(len(cells)))
    return describe(model, lambda: batch.evaluate(model), len(cells) * cells.n_atoms)


def make_model(cells: Cells) -> torch.nn.Module:
    descriptor = MODEL["descriptor"] | {"rcut": cells.cutoff}
    return get_model(MODEL | {"descriptor": descriptor}).to("cpu")


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).float()


def describe(model: torch.nn.Module, step: Callable, atoms_per_step: int) -> Work:
    return Work(
        step=step,
        atoms_per_step=atoms_per_step,
        version=version("deepmd-kit"),
        computes="E, F, S; neighbour list",
        settings=f"se_e2_a {'-'.join(map(str, NEURONS))}, 240-240-240",
        parameters=sum(p.numel() for p in model.parameters()),
    )
