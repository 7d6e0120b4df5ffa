"""torchani: symmetry functions (two- and three-body) and a network, forces by autograd.

Its batches know one periodic cell only, so the cells go in as one set of atoms with neighbours
found beforehand, by torchani's own list.
"""

from __future__ import annotations

import torch
import torchani
from torchani.arch import simple_ani

from .work import Cells, Work, in_turn

ANGULAR_CUTOFF = 3.5  # Å, torchani's own; at 6 Å it takes 30 times as long


def training(cells: Cells) -> Work:
    model = make_model(cells)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = in_turn([Batch(model, cells, batch) for batch in cells.batches()])

    def step() -> None:
        batch = next(batches)
        energy, forces = batch.evaluate(model, training=True)
        error = (energy - batch.energy) / cells.n_atoms
        loss = error.square().mean() + (forces - batch.forces).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return describe(model, step, cells.batch_size * cells.n_atoms)


def inference(cells: Cells) -> Work:
    model = make_model(cells)
    batch = Batch(model, cells, range(len(cells)))
    return describe(
        model, lambda: batch.evaluate(model, training=False), len(cells) * cells.n_atoms
    )


def make_model(cells: Cells) -> torch.nn.Module:
    return simple_ani(
        symbols=["Al"],
        lot="wb97x-631gd",
        radial_cutoff=cells.cutoff,
        angular_cutoff=ANGULAR_CUTOFF,
        repulsion=False,
        self_energies="zero",
        periodic_table_index=False,
    )


def describe(model: torch.nn.Module, step: object, atoms_per_step: int) -> Work:
    features = model.aev_computer.out_dim
    return Work(
        step=step,  # type: ignore[arg-type]
        atoms_per_step=atoms_per_step,
        version=torchani.__version__,
        computes="E, F; no stress, no list",
        settings=f"{features} features, angular cutoff {ANGULAR_CUTOFF} Å",
        parameters=sum(p.numel() for p in model.parameters()),
    )


class Batch:
    """Some cells as one set of atoms, with pairs that were found beforehand."""

    def __init__(self, model: torch.nn.Module, cells: Cells, chosen: range) -> None:
        indices, shifts = [], []
        for place, i in enumerate(chosen):
            positions = torch.from_numpy(cells.positions[i]).float()
            found = model.neighborlist(
                cells.cutoff,
                torch.zeros(1, cells.n_atoms, dtype=torch.long),
                positions[None],
                torch.from_numpy(cells.cell[i]).float(),
                torch.ones(3, dtype=torch.bool),
            )
            first, second = found.indices
            shifts.append(found.diff_vectors - (positions[first] - positions[second]))
            indices.append(found.indices + place * cells.n_atoms)
        picked = list(chosen)
        self.indices = torch.cat(indices, dim=1)
        self.shifts = torch.cat(shifts)
        self.positions = torch.from_numpy(cells.positions[picked]).float().reshape(-1, 3)
        self.energy = torch.from_numpy(cells.energy[picked]).float()
        self.forces = torch.from_numpy(cells.forces[picked]).float().reshape(-1, 3)
        self.species = torch.zeros(1, len(self.positions), dtype=torch.long)

    def evaluate(self, model: torch.nn.Module, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies (B,) and forces (A, 3)."""
        positions = self.positions.clone().requires_grad_()
        vectors = positions[self.indices[0]] - positions[self.indices[1]] + self.shifts
        neighbors = torchani.neighbors.Neighbors(self.indices, vectors.norm(dim=1), vectors)
        energies = model.compute_from_neighbors(
            self.species, positions[None], neighbors, atomic=True
        ).energies.reshape(len(self.energy), -1)
        (gradient,) = torch.autograd.grad(energies.sum(), positions, create_graph=training)
        return energies.sum(dim=1), -gradient
