"""A model as a program of torch alone: ``torch.export``, with any number of atoms and pairs.

``torch.export.load(path).module()`` takes the tensors `ARGUMENTS`, which are those of `AtomBatch`,
and gives the tensors `RESULTS`. Repulsion, baseline and reference energies are in it.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import torch
from ase.data import atomic_numbers
from torch import Tensor, nn
from torch.export import Dim

from fw_nnp.core.errors import SpecError, TrainingError
from fw_nnp.core.records import Configuration

from .artefact import load_model, model_id, read_card
from .batch import AtomBatch, geometry
from .card import model_card
from .eam_program import EamProgram
from .pair_sums import forces_and_virials
from .potential import Potential
from .repulsion import pair_repulsion

ARGUMENTS = ("vectors", "starts", "neighbours", "reverse", "species")
_MOST = 2**31 - 1  # what an int32 index reaches
RESULTS = ("energies", "forces", "virials")


class Exportable(nn.Module):
    """Atomic energies (A,), forces (A, 3) and virials (A, 3, 3) in eV and Å, from plain tensors.

    The arguments are those of `AtomBatch`.
    """

    numbers: Tensor

    def __init__(self, model: Potential) -> None:
        super().__init__()
        self.model = model
        numbers = torch.tensor([atomic_numbers[symbol] for symbol in model.elements])
        self.register_buffer("numbers", numbers)
        self.eam = EamProgram(model.fixed.eam) if model.fixed.eam else None

    def forward(
        self, vectors: Tensor, starts: Tensor, neighbours: Tensor, reverse: Tensor, species: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch = AtomBatch(
            vectors=vectors,
            starts=starts,
            neighbours=neighbours,
            reverse=reverse,
            species=species,
            structure=torch.zeros_like(species),
            volumes=torch.ones(1, dtype=torch.float64, device=vectors.device),
        )
        energies, forces, virials = self.model.evaluate(batch)
        energies = energies.double() + self.model.reference_energies[species]
        if self.model.spec.repulsion:
            centres = neighbours.index_select(0, reverse)
            z = self.numbers[species]
            halves, g = pair_repulsion(vectors, z[centres], z[neighbours])
            more_forces, more_virials = forces_and_virials(g, batch)
            energies = energies.index_add(0, centres, halves.double())
            forces, virials = forces + more_forces, virials + more_virials
        if self.eam is not None:
            more, g = self.eam(batch)
            more_forces, more_virials = forces_and_virials(g, batch)
            energies, forces = energies + more, forces + more_forces
            virials = virials + more_virials
        return energies, forces, 0.5 * (virials + virials.transpose(1, 2))


def arguments_of(model: Potential, configuration: Configuration) -> tuple[Tensor, ...]:
    """`ARGUMENTS` of one configuration, float64."""
    batch, _ = geometry(configuration, model.elements, model.cutoff, torch.float64)
    return tuple(getattr(batch, name) for name in ARGUMENTS)


def export_model(path: Path, result: Path, head: str = "") -> Path:
    """Write the model at `path` as an exported program, and its card beside it.

    Parameters
    ----------
    head
        As in `load_model`.

    Returns
    -------
    Path
        The card.

    Raises
    ------
    SpecError
        No folder to write to.
    TrainingError
        The model cannot be exported.
    """
    if not result.parent.is_dir():
        raise SpecError("no such folder", place=str(result.parent), remedy="make it first")
    model = load_model(path, head).double().requires_grad_(False)
    if model.fixed.eam is not None and model.fixed.eam.cutoff > model.cutoff:
        raise TrainingError(
            f"its baseline reaches {model.fixed.eam.cutoff:g} Å, further than the network with "
            f"{model.cutoff:g} Å: an exported program has pairs of the second only",
            place=str(path),
            remedy="train with a cutoff that is not shorter than that of the baseline",
        )
    model.find_constants()
    n_species = len(model.elements)
    example = arguments_of(model, _example(model))
    atoms, pairs = Dim("atoms", min=2, max=_MOST), Dim("pairs", min=2, max=_MOST)
    dynamic = ({0: pairs}, {0: n_species * atoms + 1}, {0: pairs}, {0: pairs}, {0: atoms})
    try:
        with torch.no_grad():
            program = torch.export.export(Exportable(model), example, dynamic_shapes=dynamic)
    except Exception as error:
        raise TrainingError(
            f"cannot be exported: {str(error).splitlines()[0]}",
            place=str(path),
            remedy="see which operation torch.export refuses; models of your own must avoid it",
        ) from error
    signature = {"arguments": ARGUMENTS, "results": RESULTS}
    told = {"id": model_id(path, head), "head": model.head, **signature, **read_card(path)}
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={"card.json": json.dumps(told)})
    temporary = result.with_name(result.name + ".tmp")
    temporary.write_bytes(buffer.getvalue())
    os.replace(temporary, result)
    card = result.with_suffix(".md")
    card.write_text(model_card(path), encoding="utf-8")
    return card


def _example(model: Potential) -> Configuration:
    """Some atoms of every element, to trace with."""
    n = len(model.elements) + 3
    rng = np.random.default_rng(0)
    symbols = [model.elements[index % len(model.elements)] for index in range(n)]
    return Configuration(
        cell=np.eye(3) * 0.9 * model.cutoff,
        positions=rng.uniform(size=(n, 3)) * 0.9 * model.cutoff,
        numbers=np.array([atomic_numbers[symbol] for symbol in symbols]),
    )
