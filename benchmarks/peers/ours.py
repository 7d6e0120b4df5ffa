"""fw_nnp: a step of training with its batch assembled, a prediction with its neighbour list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import torch

import fw_nnp
from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import Configuration, Label, LabelledConfiguration
from fw_nnp.core.specs import ModelSpec, StageSpec
from fw_nnp.nnp import predict
from fw_nnp.nnp.artefact import build
from fw_nnp.nnp.batch import join
from fw_nnp.nnp.calculator import NeuralNetworkCalculator
from fw_nnp.nnp.data import read_configuration
from fw_nnp.nnp.members import COMMITTEE
from fw_nnp.nnp.potential import Potential, Precision
from fw_nnp.nnp.stage_run import StageRun

from .work import Cells, Work, ase_work, in_turn


def training(cells: Cells, members: int = 1) -> Work:
    stage = StageSpec(name="speed", batch_size=cells.batch_size)
    run = StageRun(stage, Path.cwd(), identity={}, seed=1)
    spec = ModelSpec(cutoff=cells.cutoff, members=members)
    run.set_up(spec, labelled(cells), [], None, [], None)
    batches = in_turn([list(batch) for batch in cells.batches()])

    stored = sum(size_of(cell.batch) + size_of(cell.targets) for cell in run.training.cells)
    atoms = len(cells) * cells.n_atoms
    return Work(
        step=lambda: run._step(next(batches), [], stage.learning_rate),
        atoms_per_step=cells.batch_size * cells.n_atoms,
        version=fw_nnp.__version__,
        computes="E, F, S; batch assembly",
        settings=settings(run.model),
        parameters=count(run.model),
        more={"stored_kb_per_atom": stored / atoms / 1000},
    )


def training_committee(cells: Cells) -> Work:
    """What few labels are trained with."""
    return training(cells, COMMITTEE)


def inference(cells: Cells, precision: Precision = "single", members: int = 1) -> Work:
    """In float32, as the peers; `double` is what a user gets who does not ask."""
    model = untrained(cells, members)
    configurations = [from_atoms(atoms) for atoms in cells.atoms()]
    return Work(
        step=lambda: predict(model, configurations, "thy-none", precision=precision),
        atoms_per_step=len(cells) * cells.n_atoms,
        version=fw_nnp.__version__,
        computes=f"E, F, S; neighbour list; {precision} precision",
        settings=settings(model),
        parameters=count(model),
    )


def double(cells: Cells) -> Work:
    return inference(cells, "double")


def committee(cells: Cells) -> Work:
    """Of a model that was trained on few labels."""
    return inference(cells, members=COMMITTEE)


def ase(cells: Cells, precision: Precision = "single") -> Work:
    model = untrained(cells)
    calculators = [NeuralNetworkCalculator(model, "thy-none", precision) for _ in range(len(cells))]
    return ase_work(
        calculators,
        cells,
        version=fw_nnp.__version__,
        computes=f"E, F, S; neighbour list; ASE calculator; {precision} precision",
        settings=settings(model),
        parameters=count(model),
    )


def ase_double(cells: Cells) -> Work:
    return ase(cells, "double")


def labelled(cells: Cells) -> list[LabelledConfiguration]:
    """The cells as records."""
    items = []
    for i in range(len(cells)):
        configuration = Configuration(
            cell=cells.cell[i], positions=cells.positions[i], numbers=cells.numbers
        )
        label = Label(
            configuration_id=configuration.id,
            theory_id="thy-emt",
            energy=float(cells.energy[i]),
            forces=cells.forces[i],
            stress=cells.stress[i],
        )
        items.append(LabelledConfiguration(configuration=configuration, label=label))
    return items


def untrained(cells: Cells, members: int = 1) -> Potential:
    """The default model of so many networks, features scaled as training would start with."""
    configurations = [from_atoms(atoms) for atoms in cells.atoms()]
    elements = sorted({e for c in configurations for e in c.elements})
    spec = ModelSpec(cutoff=cells.cutoff, members=members)
    model = build(spec, elements, seed=1)
    model.adapt(join([read_configuration(model, c, torch.float32)[0] for c in configurations]))
    return model


def size_of(tensors: object) -> int:
    """Bytes of the tensors of a dataclass."""
    values: Iterable[torch.Tensor] = (getattr(tensors, f.name) for f in fields(tensors))  # type: ignore[arg-type]
    return sum(value.numel() * value.element_size() for value in values)


def count(model: Potential) -> int:
    return sum(p.numel() for p in model.parameters())


def settings(model: Potential) -> str:
    hidden = "-".join(map(str, model.spec.hidden))
    return f"{model.spec.kind}, defaults, hidden layers {hidden}, networks: {model.spec.n_members}"
