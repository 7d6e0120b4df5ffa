"""MACE: equivariant message passing; a small model of 16 scalar channels and two layers.

The batches are made beforehand; its trainer makes them beside the step, in other processes.
"""

# ruff: noqa: E402
from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version

import numpy as np
import torch

# e3nn 0.4.4, which mace-torch asks for, keeps constants in a file that holds slices.
torch.serialization.add_safe_globals([slice])

from e3nn import o3
from mace import modules
from mace.data import AtomicData
from mace.data.utils import KeySpecification, config_from_atoms
from mace.tools import AtomicNumberTable, torch_geometric

from .work import Cells, Work, in_turn

CHANNELS = 16


def training(cells: Cells) -> Work:
    model = make_model(cells)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, amsgrad=True)
    loss_of = modules.WeightedEnergyForcesStressLoss()
    batches = in_turn([make_batch(cells, chosen) for chosen in cells.batches()])

    def step() -> None:
        batch = next(batches)
        found = model(batch.to_dict(), training=True, compute_force=True, compute_stress=True)
        loss = loss_of(pred=found, ref=batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return describe(model, step, cells.batch_size * cells.n_atoms, "E, F, S")


def inference(cells: Cells) -> Work:
    model = make_model(cells).eval()
    batch = make_batch(cells, range(len(cells)))

    def step() -> None:
        model(batch.to_dict(), training=False, compute_force=True, compute_stress=True)

    return describe(model, step, len(cells) * cells.n_atoms, "E, F, S; no neighbour list")


def make_model(cells: Cells) -> torch.nn.Module:
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    numbers = sorted({int(number) for number in cells.numbers})
    return modules.ScaleShiftMACE(
        r_max=cells.cutoff,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=len(numbers),
        hidden_irreps=o3.Irreps(f"{CHANNELS}x0e"),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(numbers)),
        avg_num_neighbors=54.0,
        atomic_numbers=numbers,
        correlation=3,
        gate=torch.nn.functional.silu,
        radial_MLP=[64, 64, 64],
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )


def make_batch(cells: Cells, chosen: Iterable[int]) -> torch_geometric.batch.Batch:
    keys = KeySpecification.from_defaults()
    table = AtomicNumberTable(sorted({int(number) for number in cells.numbers}))
    everything = cells.atoms()
    data = []
    for i in chosen:
        atoms = everything[i]
        atoms.info["REF_energy"] = cells.energy[i]
        atoms.info["REF_stress"] = atoms.get_stress()
        atoms.arrays["REF_forces"] = cells.forces[i]
        configuration = config_from_atoms(atoms, key_specification=keys)
        data.append(AtomicData.from_config(configuration, z_table=table, cutoff=cells.cutoff))
    return torch_geometric.batch.Batch.from_data_list(data)


def describe(model: torch.nn.Module, step: Callable, atoms_per_step: int, computes: str) -> Work:
    return Work(
        step=step,
        atoms_per_step=atoms_per_step,
        version=version("mace-torch"),
        computes=computes,
        settings=f"{CHANNELS}x0e, 2 layers",
        parameters=sum(p.numel() for p in model.parameters()),
    )
