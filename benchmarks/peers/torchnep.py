"""torchnep: NEP in PyTorch, compiled the way its trainer does where compiling is on.

The batch (neighbours, radial and angular basis) is assembled within the step, as in its trainer;
what its trainer does besides (logging, evaluation) is left out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchnep
from torchnep.compiled_autograd import apply_compile_patches
from torchnep.data import parse_nep_in, read_xyz
from torchnep.model import NEPModel
from torchnep.train import StreamDataStore, compute_q_scaler, preprocess_structures

from .work import Cells, Work, in_turn, write_extxyz

# Its default sizes, the cutoffs apart: 7 radial and 7 x 5 angular features, 30 neurons.
INPUT = "version 4\ntype 1 Al\ncutoff {cutoff} {cutoff}\n"
BACKEND = "mulsum"  # what it chooses when compiling


def training(cells: Cells) -> Work:
    model, store, evaluate = prepare(cells)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    batches = in_turn([list(batch) for batch in cells.batches()])
    energy = torch.from_numpy(cells.energy).float()
    forces = torch.from_numpy(cells.forces).float()
    volumes = abs(np.linalg.det(cells.cell))
    virial = torch.from_numpy(-volumes[:, None, None] * cells.stress).float().reshape(-1, 9)

    def step() -> None:
        chosen = next(batches)
        batch = store.collate(chosen)
        found = evaluate(batch, need_forces=True, need_virial=True)
        virials = torch.zeros(len(chosen), 9).index_add(0, batch["struct_idx"], found["virial"])
        loss = (
            ((found["Etot"] - energy[chosen]) / cells.n_atoms).square().mean()
            + (found["forces"] - forces[chosen].reshape(-1, 3)).square().mean()
            + ((virials - virial[chosen]) / cells.n_atoms).square().mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return describe(model, step, cells.batch_size * cells.n_atoms, "E, F, S; batch assembly")


def inference(cells: Cells) -> Work:
    model, store, evaluate = prepare(cells)
    chosen = list(range(len(cells)))

    def step() -> None:
        with torch.no_grad():
            evaluate(store.collate(chosen), need_forces=True, need_virial=True)

    return describe(model, step, len(cells) * cells.n_atoms, "E, F, S; no neighbour list")


def prepare(cells: Cells) -> tuple[NEPModel, StreamDataStore, Callable]:
    """Model, cells with their neighbours, compiled evaluation of a batch."""
    Path("nep.in").write_text(INPUT.format(cutoff=cells.cutoff))
    config = parse_nep_in("nep.in")
    write_extxyz(cells, Path("train.xyz"))
    structures = preprocess_structures(read_xyz("train.xyz"), config, n_workers=1)
    store = StreamDataStore(structures, torch.device("cpu"), torch.float32, config)
    model = NEPModel(config).float()
    model.set_q_scaler(*compute_q_scaler(model, store))
    apply_compile_patches()
    core = torch.compile(model._cached_core, dynamic=True)
    store.compile_basis()
    evaluate = functools.partial(model.compute_properties_cached, core_fn=core, backend=BACKEND)
    return model, store, evaluate


def describe(model: NEPModel, step: Callable, atoms_per_step: int, computes: str) -> Work:
    return Work(
        step=step,
        atoms_per_step=atoms_per_step,
        version=torchnep.__version__,
        computes=computes,
        settings="default size, compiled, bare step",
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
    )
