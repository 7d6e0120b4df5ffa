"""Allegro in nequip: strictly local, equivariant; one layer, l <= 1, 16 channels.

The batches are made beforehand, neighbours included; positions and labels are float64 as nequip
has them, the network float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version

import torch
from allegro.model import AllegroModel
from nequip.data import AtomicDataDict
from nequip.data.ase import from_ase
from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
from nequip.utils.global_state import set_global_state

from .work import ELEMENT, Cells, Work, in_turn

CHANNELS = 16


def training(cells: Cells) -> Work:
    model = make_model(cells)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = in_turn([make_batch(cells, chosen) for chosen in cells.batches()])

    def step() -> None:
        batch = next(batches)
        found = model(dict(batch))
        loss = (
            ((found["total_energy"] - batch["total_energy"]) / cells.n_atoms).square().mean()
            + (found["forces"] - batch["forces"]).square().mean()
            + (found["stress"] - batch["stress"]).square().mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return describe(model, step, cells.batch_size * cells.n_atoms, "E, F, S")


def inference(cells: Cells) -> Work:
    model = make_model(cells).eval()
    batch = make_batch(cells, range(len(cells)))
    return describe(
        model,
        lambda: model(dict(batch)),
        len(cells) * cells.n_atoms,
        "E, F, S; no neighbour list",
    )


def make_model(cells: Cells) -> torch.nn.Module:
    set_global_state()
    return AllegroModel(
        seed=1,
        model_dtype="float32",
        r_max=cells.cutoff,
        type_names=[ELEMENT],
        l_max=1,
        num_layers=1,
        num_scalar_features=CHANNELS,
        num_tensor_features=CHANNELS,
        radial_chemical_embed={"_target_": "allegro.nn.TwoBodyBesselScalarEmbed"},
        scalar_embed_mlp_hidden_layers_width=CHANNELS,
        allegro_mlp_hidden_layers_width=CHANNELS,
        readout_mlp_hidden_layers_width=CHANNELS,
        avg_num_neighbors=54.0,
    )


def make_batch(cells: Cells, chosen: Iterable[int]) -> dict[str, torch.Tensor]:
    everything = cells.atoms()
    transforms = [
        ChemicalSpeciesToAtomTypeMapper(model_type_names=[ELEMENT]),
        NeighborListTransform(r_max=cells.cutoff),
    ]
    data = []
    for i in chosen:
        item = from_ase(everything[i])
        for transform in transforms:
            item = transform(item)
        data.append(item)
    return AtomicDataDict.batched_from_list(data)


def describe(model: torch.nn.Module, step: Callable, atoms_per_step: int, computes: str) -> Work:
    return Work(
        step=step,
        atoms_per_step=atoms_per_step,
        version=version("nequip-allegro"),
        computes=computes,
        settings=f"l 1, 1 layer, {CHANNELS} channels",
        parameters=sum(p.numel() for p in model.parameters()),
    )
