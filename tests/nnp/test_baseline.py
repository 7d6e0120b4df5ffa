"""An empirical baseline: exact by itself, a part of the model wherever the model goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.errors import SpecError, TrainingError
from fw_nnp.core.records import Configuration, Label, LabelledConfiguration
from fw_nnp.core.specs import BaselineSpec, ModelSpec, PotentialSpec, StageSpec
from fw_nnp.nnp import load_calculator, predict, train_stage
from fw_nnp.nnp.artefact import build, load_model, read_card, save_model
from fw_nnp.nnp.batch import geometry
from fw_nnp.nnp.card import model_card
from fw_nnp.nnp.eam import Eam, cubics
from fw_nnp.nnp.eam_program import EamProgram
from fw_nnp.nnp.export import export_model
from fw_nnp.nnp.lammps_run import open_lammps, run_lammps
from fw_nnp.nnp.neighbours import find_neighbours
from fw_nnp.nnp.pair_sums import forces_and_virials
from fw_nnp.potentials import make_potential
from fw_nnp.potentials.setfl import find_baseline, read_setfl

from .conftest import SMALL, eam_file, eam_tables, random_cell, silent
from .test_physics import changed


def alone(tables, cell, elements=("Al", "Ni")):
    """Energy, forces and stress of the baseline alone, with the pairs that a model would have."""
    eam = Eam(tables, elements)
    index = {symbol: i for i, symbol in enumerate(elements)}
    species = np.array([index[symbol] for symbol in cell.symbols])
    pairs = find_neighbours(cell, eam.cutoff + 0.7, species, len(elements))
    energies, forces, virials = eam.by_atom(species, pairs)
    return energies.sum(), forces, virials.sum(axis=0) / cell.volume


def test_cubics_go_through_the_entries_with_continuous_slopes():
    table = np.random.default_rng(0).normal(size=(2, 9))
    a, b, c, d = np.moveaxis(cubics(table), -1, 0)
    np.testing.assert_allclose(d, table)
    np.testing.assert_allclose((a + b + c + d)[:, :-1], table[:, 1:], atol=1e-12)
    np.testing.assert_allclose((3 * a + 2 * b + c)[:, :-1], c[:, 1:], atol=1e-12)
    quadratic = np.arange(9.0) ** 2
    np.testing.assert_allclose(cubics(quadratic)[2:-2, 2], 2.0 * np.arange(2, 7), rtol=1e-12)


@pytest.mark.parametrize("style", ["eam/alloy", "eam/fs"])
def test_forces_and_stress_are_slopes_of_the_energy(style):
    tables, rng, h = eam_tables(style), np.random.default_rng(1), 1e-4
    cell = random_cell(1)
    _, forces, stress = alone(tables, cell)
    for _ in range(3):
        shift, strain = rng.normal(size=cell.positions.shape), rng.normal(size=(3, 3))
        strain = 0.5 * (strain + strain.T)
        by_shift, by_strain = [], []
        for k in (-2, -1, 1, 2):
            moved = changed(cell, positions=cell.positions + k * h * shift)
            f = np.eye(3) + k * h * strain
            strained = changed(cell, cell=cell.cell @ f, positions=cell.positions @ f)
            by_shift.append(alone(tables, moved)[0])
            by_strain.append(alone(tables, strained)[0])
        weights = np.array([1, -8, 8, -1]) / (12 * h)
        assert by_shift @ weights == pytest.approx(-(forces * shift).sum(), rel=1e-7)
        expected = cell.volume * (stress * strain).sum()
        assert by_strain @ weights == pytest.approx(expected, rel=1e-7)


def test_the_two_styles_differ_only_where_the_density_has_a_target():
    cell = random_cell(0)
    nickel = changed(cell, numbers=np.full(cell.n_atoms, 28))
    (a, fa, _), (b, fb, _) = (alone(eam_tables(s), nickel) for s in ("eam/alloy", "eam/fs"))
    assert a == pytest.approx(b, abs=1e-12)
    np.testing.assert_allclose(fa, fb, atol=1e-12)
    assert alone(eam_tables("eam/alloy"), cell)[0] != alone(eam_tables("eam/fs"), cell)[0]


# ---------------------------------------------------------------- against LAMMPS

FILES = [
    ("eam/alloy", "NiAlH_jea.eam.alloy", ["Al", "H", "Ni"]),
    ("eam/fs", "NiAlH_jea.eam.fs", ["Al", "Ni"]),
    ("eam/fs", "AlFe_mm.eam.fs", ["Al", "Fe"]),
]


@pytest.mark.engines
@pytest.mark.parametrize(("style", "file", "elements"), FILES)
def test_equals_lammps(style, file, elements, lmp, programs, tmp_path):
    folder = programs.require_potentials()
    spec = ModelSpec(baseline=BaselineSpec(style=style, file=file))
    _, tables = find_baseline(spec, tmp_path, folder)
    engine = make_potential(
        PotentialSpec(style=style, file=file, elements=elements),
        lmp=lmp,
        base=tmp_path,
        potentials_dir=folder,
    )
    numbers = {"Al": 13, "Fe": 26, "H": 1, "Ni": 28}
    cells = [random_cell(s, 2 + 4 * s, [numbers[e] for e in elements]) for s in range(5)]
    # crowded, so that the density leaves its table
    cells.append(changed(cells[4], cell=0.75 * cells[4].cell, positions=0.75 * cells[4].positions))
    for cell, label in zip(cells, engine.label(cells, tmp_path / "lmp"), strict=True):
        energy, forces, stress = alone(tables, cell, elements)
        assert energy == pytest.approx(label.energy, rel=1e-10)
        np.testing.assert_allclose(forces, label.forces, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(stress, label.stress, rtol=1e-8, atol=1e-10)
    assert np.abs(forces).max() > 5.0


# ---------------------------------------------------------------- as part of a model


def labelled(cell: Configuration, scale: float = 1.0) -> LabelledConfiguration:
    """A label that the baseline makes, times `scale`."""
    energy, forces, stress = alone(eam_tables(), cell)
    label = Label(
        configuration_id=cell.id,
        theory_id="thy-test",
        energy=scale * energy,
        forces=scale * forces,
        stress=scale * stress,
    )
    return LabelledConfiguration(configuration=cell, label=label)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("potentials")
    (place / "NiAl.fs").write_bytes(eam_file())
    return place


@pytest.fixture(scope="module")
def spec():
    baseline = BaselineSpec(style="eam/fs", file="NiAl.fs")
    return ModelSpec(baseline=baseline, repulsion=False, **SMALL)


@pytest.fixture(scope="module")
def corrected(folder, spec, tmp_path_factory):
    """A model of labels a tenth above its baseline, and those labels."""
    torch.set_num_threads(1)
    items = [labelled(random_cell(2 * seed, n=4), 1.1) for seed in range(16)]
    directory = tmp_path_factory.mktemp("corrected")
    stage = StageSpec(name="first", epochs=4)
    done = train_stage(stage, spec, items[:12], items[12:], directory, seed=1, base=folder)
    return done.model_path, items


def test_a_network_that_says_nothing_leaves_the_baseline(folder, spec, tmp_path):
    """The file of the potential is not needed any more."""
    named, tables = find_baseline(spec, folder, None)
    model = silent(build(named, ["Al", "Ni"], 0, tables))
    save_model(tmp_path / "model.pt", model, {})
    cell = random_cell(0)
    energy, forces, stress = alone(tables, cell)
    (label,) = predict(tmp_path / "model.pt", [cell])
    atoms = to_atoms(cell)
    atoms.calc = load_calculator(tmp_path / "model.pt")
    for found in (label.energy, atoms.get_potential_energy()):
        assert found == pytest.approx(energy, abs=1e-10)
    for found in (label.forces, atoms.get_forces()):
        np.testing.assert_allclose(found, forces, atol=1e-11)
    for found in (label.stress, atoms.get_stress(voigt=False)):
        np.testing.assert_allclose(found, stress, atol=1e-12)
    assert np.abs(forces).max() > 0.1


def test_a_baseline_that_reaches_further_than_the_network(folder, spec):
    short = spec.model_copy(update={"cutoff": 3.0})
    tables = read_setfl(spec.baseline, eam_file())
    model = silent(build(short, ["Al", "Ni"], 0, tables))
    cell = random_cell(0)
    (label,) = predict(model, [cell])
    assert label.energy == pytest.approx(alone(tables, cell)[0], abs=1e-10)


def test_the_network_learns_only_the_difference(corrected, folder, spec, tmp_path):
    """A tenth of the forces is left to it, and after as many steps its error is smaller."""
    path, items = corrected
    plain = spec.model_copy(update={"baseline": None})
    stage = StageSpec(name="first", epochs=4)
    without = train_stage(stage, plain, items[:12], items[12:], tmp_path, seed=1).model_path
    errors = []
    for one in (path, without):
        found = predict(one, [item.configuration for item in items[12:]])
        pairs = zip(found, items[12:], strict=True)
        errors.append(np.sqrt(np.mean([(a.forces - b.label.forces) ** 2 for a, b in pairs])))
    assert errors[0] < 0.3 * errors[1]


def test_card_and_file_name_the_potential(corrected):
    path, _ = corrected
    baseline = read_card(path)["model"]["baseline"]
    assert baseline == eam_tables().spec.model_dump() | {"file": "NiAl.fs"}
    assert baseline["sha256"] in model_card(path)
    assert load_model(path).fixed.eam.tables.data == eam_file()


def test_another_content_is_another_model(corrected, spec, tmp_path):
    path, items = corrected
    (tmp_path / "NiAl.fs").write_bytes(eam_file().replace(b"made for tests", b"changed"))
    second = StageSpec(name="second", start_from="first", epochs=1)
    with pytest.raises(SpecError, match="baseline"):
        train_stage(
            second, spec, items[:4], [], tmp_path / "b", seed=1, start_from=path, base=tmp_path
        )


def test_elements_that_the_baseline_lacks_are_refused(spec):
    with pytest.raises(SpecError, match="describes Ni, Al, not Cu"):
        build(spec, ["Al", "Cu"], 0, eam_tables())


def test_the_program_in_torch_equals_the_kernel():
    """Also where the density leaves its table, and for pairs beyond the cutoff."""
    eam = Eam(eam_tables(), ["Al", "Ni"])
    for scale in (1.0, 0.3):
        cell = random_cell(0, n=9)
        cell = changed(cell, cell=scale * cell.cell, positions=scale * cell.positions)
        batch, found = geometry(cell, ["Al", "Ni"], 4.5, torch.float64)
        expected = eam.by_atom(batch.species.numpy(), found)
        energies, g = EamProgram(eam)(batch)
        for one, other in zip((energies, *forces_and_virials(g, batch)), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


def test_an_exported_program_that_would_lack_pairs_is_refused(spec, tmp_path):
    short = build(spec.model_copy(update={"cutoff": 3.0}), ["Al", "Ni"], 0, eam_tables())
    save_model(tmp_path / "short.pt", short, {})
    with pytest.raises(TrainingError, match=r"reaches 3\.9 Å"):
        export_model(tmp_path / "short.pt", tmp_path / "short.pt2")


DYNAMICS = """
units metal
atom_style atomic
boundary p p p
lattice fcc 4.05
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
{pair}
mass 1 26.98  # after the pair style, which would take it from its file
displace_atoms all random 0.1 0.1 0.1 77
velocity all create 600.0 5
fix 1 all nve
thermo_style custom step pe etotal pxx pxy
thermo_modify format float %.15g
thermo 10
log log.{name}
run 20
log none
"""


@pytest.mark.engines
def test_dynamics_in_lammps_are_those_of_its_own_pair_style(programs, tmp_path, monkeypatch):
    """A network that says nothing, through fix external, against pair_style eam/fs."""
    monkeypatch.chdir(tmp_path)
    folder = programs.require_potentials()
    baseline = BaselineSpec(style="eam/fs", file="Al_mm.eam.fs")
    bare = ModelSpec(baseline=baseline, repulsion=False, **SMALL)
    named, tables = find_baseline(bare, tmp_path, folder)
    model = silent(build(named, ["Al"], 0, tables))
    save_model(tmp_path / "model.pt", model, {})
    ours = "pair_style fw_nnp model.pt double\npair_coeff * * Al"
    theirs = f'pair_style eam/fs\npair_coeff * * "{folder}/Al_mm.eam.fs" Al'
    (tmp_path / "in.ours").write_text(DYNAMICS.format(pair=ours, name="ours"))
    (tmp_path / "in.theirs").write_text(DYNAMICS.format(pair=theirs, name="theirs"))
    options = ["-log", "none", "-screen", "none"]
    run_lammps(tmp_path / "in.ours", options)
    lammps = open_lammps(options)
    lammps.file(str(tmp_path / "in.theirs"))
    lammps.close()
    rows_of = []
    for name in ("ours", "theirs"):
        rows = [line.split() for line in (tmp_path / f"log.{name}").read_text().splitlines()]
        rows_of.append(np.array([r for r in rows if len(r) == 5 and r[0].isdigit()], dtype=float))
    assert len(rows_of[0]) == 3
    np.testing.assert_allclose(*rows_of, rtol=1e-8, atol=1e-5)
    assert np.ptp(rows_of[0][:, 1]) > 0.1
