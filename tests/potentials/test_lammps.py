"""What belongs to LAMMPS alone: the published crystal, files, failures, speed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from fw_nnp.core.errors import EngineError, SamplingError, SpecError
from fw_nnp.core.records import Configuration
from fw_nnp.core.units import GPA
from fw_nnp.potentials import Segment, make_potential
from fw_nnp.potentials.lammps_box import to_frame
from fw_nnp.potentials.lammps_files import dump_text, read_dump

from .conftest import EAM, moved, rattled

DATA = Path(__file__).parents[2].parent / "shared/data"


def fcc(a: float) -> Configuration:
    sites = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
    return Configuration(cell=a * np.eye(3), positions=a * sites, numbers=[13] * 4)


@pytest.mark.engines
def test_the_published_lattice_and_elastic_constants(eam, tmp_path):
    constants = np.linspace(4.03, 4.06, 7)
    labels = eam.label([fcc(a) for a in constants], tmp_path)
    pressure = np.polynomial.Polynomial.fit(constants, [x.stress[0, 0] for x in labels], 3)
    a0 = next(root.real for root in pressure.roots() if 4.03 < root.real < 4.06)
    assert a0 == pytest.approx(4.0453, abs=2e-4)

    h = 1e-3
    stretch = [np.diag([1 + sign * h, 1, 1]) for sign in (1, -1)]
    shear = [np.eye(3) + sign * h / 2 * np.eye(3)[[0, 2, 1]] * [[0], [1], [1]] for sign in (1, -1)]
    s = [x.stress for x in eam.label([moved(fcc(a0), d) for d in stretch + shear], tmp_path)]
    c11, c12 = (s[0] - s[1])[0, 0] / (2 * h), (s[0] - s[1])[1, 1] / (2 * h)
    c44 = (s[2] - s[3])[1, 2] / (2 * h)
    assert [c11 / GPA, c12 / GPA, c44 / GPA] == pytest.approx([110.2, 61.4, 32.7], rel=0.01)


@pytest.mark.engines
def test_thousands_of_labels_take_seconds(eam, tmp_path):
    cells = [rattled((2, 2, 1), seed=seed) for seed in range(300)]
    start = time.perf_counter()
    eam.label(cells, tmp_path)
    assert (time.perf_counter() - start) < 5.0  # measured: 0.5 s


@pytest.mark.engines
def test_atoms_on_top_of_each_other_are_an_error_that_quotes_the_log(eam, tmp_path):
    start = rattled()
    clash = Configuration(
        cell=start.cell, positions=start.positions[[0, 0, 1, 2]], numbers=start.numbers
    )
    with pytest.raises(SamplingError, match=r"not finite(.|\n)*Loop time"):
        eam.label([start, clash], tmp_path)


@pytest.mark.engines
def test_a_run_that_explodes_is_an_error_that_quotes_the_log(eam, tmp_path):
    with pytest.raises(SamplingError) as caught:
        eam.run_md(
            rattled((2, 2, 2)),
            [Segment(steps=2000, t_start=2000.0, t_end=2000.0)],
            timestep=100.0,
            every=10,
            pressure=0.0,
            seed=1,
            directory=tmp_path,
        )
    assert "LAMMPS failed" in str(caught.value)
    assert "ERROR" in str(caught.value)


@pytest.mark.engines
def test_a_file_that_is_no_potential_is_an_error(lmp, tmp_path):
    (tmp_path / "bad.eam.fs").write_text("nothing\n" * 10)
    spec = EAM.model_copy(update={"file": "bad.eam.fs"})
    potential = make_potential(spec, lmp=lmp, base=tmp_path, potentials_dir=None)
    with pytest.raises(SamplingError, match="ERROR"):
        potential.label([rattled()], tmp_path / "run")


@pytest.mark.engines
def test_the_nickel_data_of_the_paper_come_out_again(lmp, tmp_path):
    h5py = pytest.importorskip("h5py")
    file = DATA / "eam/NiNb_ZhangAshcraftMendelev_2016.eam.fs"
    if not file.exists():
        pytest.skip("needs ../shared/data")
    spec = EAM.model_copy(update={"file": str(file), "elements": ["Ni", "Nb"]})
    potential = make_potential(spec, lmp=lmp, base=tmp_path, potentials_dir=None)
    with h5py.File(DATA / "ni_eam/train.h5") as data:
        mol = data["mols/mol"]
        pick = slice(0, 2000, 250)
        cells = [
            Configuration(cell=cell, positions=x, numbers=[28] * len(x))
            for cell, x in zip(mol["cell"][pick], mol["coordinates"][pick], strict=True)
        ]
        energies, forces = mol["energies"][pick] * 27.2114, mol["forces"][pick] * 27.2114
    labels = potential.label(cells, tmp_path)
    np.testing.assert_allclose([x.energy for x in labels], energies.ravel(), atol=5e-3)
    np.testing.assert_allclose([x.forces for x in labels], forces, atol=5e-3)


def test_files_are_looked_up_beside_the_campaign_then_among_lammps_own(tmp_path):
    own, base = tmp_path / "own", tmp_path / "base"
    own.mkdir()
    base.mkdir()

    def theory(file: str) -> str:
        spec = EAM.model_copy(update={"file": file})
        found = make_potential(spec, lmp=["lmp"], base=base, potentials_dir=own)
        return found.theory.settings["sha256"]

    (own / "x.eam.fs").write_text("own")
    from_own = theory("x.eam.fs")
    (base / "x.eam.fs").write_text("base")
    assert theory("x.eam.fs") != from_own
    assert theory(str(own / "x.eam.fs")) == from_own
    with pytest.raises(SpecError) as caught:
        theory("y.eam.fs")
    assert str(base) in str(caught.value)
    assert str(own) in str(caught.value)


def test_the_theory_knows_the_content_and_no_path(tmp_path):
    names = ("a.eam.fs", "b.eam.fs")
    for name in names:
        (tmp_path / name).write_text("the same")
    theories = [
        make_potential(
            EAM.model_copy(update={"file": name}), lmp=["lmp"], base=tmp_path, potentials_dir=None
        ).theory
        for name in names
    ]
    assert theories[0].id == theories[1].id
    assert str(tmp_path) not in str(theories[0].settings)


def test_what_is_missing_is_said(tmp_path):
    (tmp_path / "x.eam.fs").write_text("")
    spec = EAM.model_copy(update={"file": "x.eam.fs"})
    with pytest.raises(EngineError, match="LAMMPS was not found"):
        make_potential(spec, lmp=[], base=tmp_path, potentials_dir=None)
    absent = make_potential(spec, lmp=["no-such-lmp"], base=tmp_path, potentials_dir=None)
    with pytest.raises(EngineError, match="no-such-lmp"):
        absent.label([rattled()], tmp_path)
    no_style = EAM.model_copy(update={"style": ""})
    with pytest.raises(SpecError, match="'style'"):
        make_potential(no_style, lmp=["lmp"], base=tmp_path, potentials_dir=None)
    gold_standard = EAM.model_copy(update={"engine": "emt", "elements": ["W"]})
    with pytest.raises(SpecError, match="EMT does not describe W"):
        make_potential(gold_standard, lmp=[], base=tmp_path, potentials_dir=None)


@pytest.mark.parametrize("seed", range(5))
def test_any_cell_fits_into_lammps_frame_and_back(seed):
    cell = np.random.default_rng(seed).normal(size=(3, 3)) * 5
    frame = to_frame(cell)
    assert (np.diag(frame.box) > 0.0).all()
    assert np.abs(np.linalg.det(frame.shear)) == pytest.approx(1.0)
    for row, column in ((1, 0), (2, 0), (2, 1)):
        assert abs(frame.box[row, column]) <= 0.5 * frame.box[column, column] + 1e-12
    np.testing.assert_allclose(frame.cell(frame.box), cell, atol=1e-12)
    np.testing.assert_allclose(frame.vectors(cell @ frame.rotation), cell, atol=1e-12)


def test_a_dump_is_read_as_it_was_written(tmp_path):
    frame = to_frame(np.random.default_rng(1).normal(size=(3, 3)) * 5)
    positions = np.random.default_rng(2).uniform(size=(4, 3))
    path = tmp_path / "a.dump"
    path.write_text(dump_text(3, frame.box, np.array([1, 2, 1, 1]), positions))
    (found,) = read_dump(path, ["id", "type", "x", "y", "z"])
    assert found.step == 3
    np.testing.assert_allclose(found.box, frame.box, atol=1e-14)
    np.testing.assert_allclose(found.columns[:, 2:], positions, atol=1e-14)
    with pytest.raises(ValueError, match="needed"):
        list(read_dump(path, ["id", "fx", "fy", "fz"]))
