"""Small cells, small models and a cheap truth to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT

from fw_nnp.core.atoms import from_atoms, label_from_calculator
from fw_nnp.core.records import Configuration, LabelledConfiguration
from fw_nnp.core.specs import AniSpec, BaselineSpec, ModelSpec, PluginSpec, StageSpec
from fw_nnp.nnp import train_stage
from fw_nnp.nnp.artefact import build
from fw_nnp.nnp.batch import join
from fw_nnp.nnp.data import read_configuration
from fw_nnp.nnp.models import MODELS
from fw_nnp.nnp.potential import Potential
from fw_nnp.potentials.setfl import Setfl, read_setfl

from .plug_in import PairPotential

SMALL = {"cutoff": 4.5, "n_basis": 6, "n_radial": 4, "l_max": 3, "n_cubic": 3, "hidden": [12, 8]}
SMALL_ANI = AniSpec(kind="ani", cutoff=4.5, angular_cutoff=3.6, hidden=[12, 8], repulsion=True)
PLUG_IN = f"{PairPotential.__module__}:PairPotential"


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def random_cell(seed: int, n: int = 6, elements=(13, 28), pbc=(True, True, True)) -> Configuration:
    """A sheared cell, left-handed for odd seeds, with atoms not too close; cutoff > half cell."""
    rng = np.random.default_rng(seed)
    width = (18.0 * n) ** (1 / 3)
    cell = np.eye(3) * width + rng.normal(scale=0.08 * width, size=(3, 3))
    if seed % 2:
        cell = cell[[1, 0, 2]]
    fractions = (np.array(np.unravel_index(np.arange(27), (3, 3, 3))).T / 3.0)[rng.permutation(27)]
    positions = fractions[:n] @ cell + rng.normal(scale=0.05, size=(n, 3))
    return Configuration(
        cell=cell, positions=positions, numbers=rng.choice(elements, size=n), pbc=pbc
    )


def eam_file(style: str = "eam/fs") -> bytes:
    """A smooth EAM potential of Ni and Al in setfl format that ends at 3.9 Å."""
    r, rho = np.arange(3901) * 1e-3, np.arange(4001) * 5e-3
    rest = (1.0 - (r / 3.9) ** 2) ** 4
    lines = ["made for tests", "", "", "2 Ni Al", "4001 5e-3 3901 1e-3 3.9"]

    def table(values):
        lines.extend(f"{value:.17g}" for value in values)

    for strength in (0.6, 0.4):
        lines.append("28 58.69 3.52 fcc")
        table(-strength * rho / np.sqrt(0.3 + rho))
        for target in (1.0,) if style == "eam/alloy" else (1.0, 1.3):
            table(strength * target * (1.0 + 0.3 * np.sin(r)) * rest)
    for strength in (0.7, 0.9, 0.8):
        table(r * strength * np.exp(2.0 * (2.3 - r)) * rest)
    return "\n".join(lines).encode()


def eam_tables(style: str = "eam/fs") -> Setfl:
    """The same, read."""
    return read_setfl(BaselineSpec(style=style, file="NiAl.test"), eam_file(style))


@pytest.fixture(params=[*MODELS, "committee", "baseline", "heads", "plug-in"])
def model(request):
    """Every registered model, two elements, float64, with features adapted to some cells."""
    tables = None
    if request.param == "baseline":
        tables = eam_tables()
        spec = ModelSpec(baseline=tables.spec, **SMALL)
    elif request.param == "plug-in":
        spec = PluginSpec(kind=PLUG_IN, cutoff=4.5, settings={"n_functions": 5})
    elif request.param == "heads":
        spec = ModelSpec(heads=["low", "high"], **SMALL)
    elif request.param == "committee":
        spec = ModelSpec(members=3, **SMALL)
    elif request.param == "ani":
        spec = SMALL_ANI
    else:
        spec = ModelSpec(kind=request.param, **SMALL)
    model = build(spec, ["Al", "Ni"], 3, tables).double()
    sample = [read_configuration(model, random_cell(seed), torch.float64)[0] for seed in range(8)]
    model.adapt(join(sample))
    model.reference.copy_(torch.tensor([-3.0, -5.0]))
    return steep(model).eval()


@torch.no_grad()
def steep(model: Potential) -> Potential:
    """Let terms that start small count: an untrained last layer, strengths of densities."""
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.shape[-2] == 1:
            parameter *= 50.0
        if name.endswith("strengths"):
            parameter.normal_(generator=generator)
    return model


@torch.no_grad()
def silent(model: Potential) -> Potential:
    """Leave only the fixed terms of a model."""
    for symbol in model.elements:
        for parameter in model.network[symbol][-1].parameters():
            parameter.zero_()
        model.embedding[symbol].strengths.zero_()
    return model


def emt_cells(count: int, seed: int = 0) -> list[LabelledConfiguration]:
    """Rattled, strained aluminium of 4 atoms with labels of effective medium theory."""
    rng = np.random.default_rng(seed)
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    cells = []
    for _ in range(count):
        cell = 4.05 * (np.eye(3) + rng.normal(scale=0.03, size=(3, 3)))
        configuration = Configuration(
            cell=cell,
            positions=corners @ cell + rng.normal(scale=0.08, size=(4, 3)),
            numbers=np.full(4, 13),
        )
        label = label_from_calculator(configuration, EMT(), "thy-emt")
        cells.append(LabelledConfiguration(configuration=configuration, label=label))
    return cells


@pytest.fixture(scope="package")
def cells():
    return emt_cells(48)


@pytest.fixture(scope="package")
def small_spec():
    return ModelSpec(**SMALL)


@pytest.fixture(scope="package")
def trained(cells, small_spec, tmp_path_factory) -> Path:
    """A model file of a short training."""
    torch.set_num_threads(1)
    stage = StageSpec(name="first", epochs=6, learning_rate=5e-3)
    directory = tmp_path_factory.mktemp("trained")
    return train_stage(stage, small_spec, cells[:40], cells[40:], directory, seed=1).model_path


@pytest.fixture(scope="package")
def fitted(tmp_path_factory) -> Path:
    """A small model of aluminium that holds a crystal together, trained for seconds."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(5)
    stage = StageSpec(name="first", epochs=60, learning_rate=1e-2, batch_size=4)
    spec = ModelSpec(cutoff=5.0, n_basis=6, n_radial=4, l_max=2, hidden=[12])
    items = []
    for scale in rng.uniform(0.02, 0.2, size=40):
        atoms = bulk("Al", cubic=True, a=rng.uniform(3.85, 4.2)) * (2, 1, 1)
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.01, size=(3, 3))), True)
        atoms.rattle(scale, rng=rng)
        configuration = from_atoms(atoms)
        label = label_from_calculator(configuration, EMT(), "thy-emt")
        items.append(LabelledConfiguration(configuration=configuration, label=label))
    return train_stage(
        stage, spec, items[:32], items[32:], tmp_path_factory.mktemp("fitted"), seed=1
    ).model_path


@pytest.fixture(scope="package", autouse=True)
def _committees_only_where_asked():
    """Trainings of these tests are short; which labels are few is tested in test_members."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fw_nnp.nnp.members.FEW_ATOMS", 0)
        yield
