"""Runs from specs: independent, reproducible, named by what shapes them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.io import write

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import SampleSpec
from fw_nnp.sampling import SamplingRun, run_sampling, sampling_runs, tag
from fw_nnp.sampling.protocols import refused_frames

from .conftest import EAM, EMT, noisy

MELT = {
    "kind": "melt_quench",
    "lattice_constant": 4.1,
    "cell": "orthorhombic",
    "repeat": [2, 2, 1],
    "t_melt": 3000.0,
    "t_hold": 2000.0,
    "heat": 60.0,
    "hold": 40.0,
    "quench": 20.0,
    "timestep": 5.0,
    "every": 10.0,
}
STRAIN = {"kind": "strain", "lattice_constant": 4.0, "count": 20, "strain": 0.05}
RATTLE = {"kind": "rattle", "lattice_constant": 4.0, "count": 16, "strain": 0.03, "rattle": 0.1}


def spec(*protocols: dict, potential=EMT) -> SampleSpec:
    data = {"potential": potential.model_dump(), "protocols": list(protocols)}
    return parse(SampleSpec, data, place="test")


def test_each_trajectory_and_each_group_of_cells_is_a_run():
    runs = sampling_runs(spec({**MELT, "trajectories": 3}, STRAIN, RATTLE), seed=1)
    kinds = [(run.kind, run.size) for run in runs]
    assert kinds == [("melt_quench", 1)] * 3 + [("strain", 16), ("strain", 4), ("rattle", 16)]
    assert len({run.seed for run in runs}) == len({run.id for run in runs}) == 6
    assert all(run.id.startswith("trj-") for run in runs)


def test_runs_are_plain_json_and_come_back():
    for run in sampling_runs(spec(MELT, STRAIN), seed=1):
        again = parse(SamplingRun, json.loads(json.dumps(run.model_dump(mode="json"))), place="x")
        assert again == run
        assert again.id == run.id


def test_more_trajectories_leave_the_first_ones_as_they_are():
    few = sampling_runs(spec({**MELT, "trajectories": 2}, STRAIN), seed=1)
    many = sampling_runs(spec({**MELT, "trajectories": 4}, {**STRAIN, "count": 64}), seed=1)
    assert [run.id for run in few[:3]] == [run.id for run in [*many[:2], many[4]]]
    other = sampling_runs(spec({**MELT, "trajectories": 2}, STRAIN), seed=2)
    assert {run.id for run in few}.isdisjoint(run.id for run in other)


@pytest.mark.parametrize("protocol", [MELT, STRAIN, RATTLE])
def test_equal_runs_give_equal_frames(emt, tmp_path, protocol):
    run = sampling_runs(spec(protocol), seed=3)[0]
    first, second = (run_sampling(run, emt, tmp_path / name) for name in "ab")
    assert [label.configuration_id for _, label in first] == [
        frame.configuration.id for frame, _ in second
    ]
    assert {(frame.trajectory, frame.sampler) for frame, _ in first} == {(run.id, run.kind)}


def test_a_trajectory_follows_its_schedule(emt, tmp_path):
    run = sampling_runs(spec(MELT), seed=3)[0]
    frames = [frame for frame, _ in run_sampling(run, emt, tmp_path)]
    assert [frame.time for frame in frames] == [10.0 * (i + 1) for i in range(12)]
    assert frames[0].configuration.n_atoms == 8


def test_strained_cells_keep_to_the_largest_strain_and_every_fourth_is_isotropic(emt, tmp_path):
    run = sampling_runs(spec(STRAIN), seed=1)[0]
    cells = [frame.configuration for frame, _ in run_sampling(run, emt, tmp_path)]
    strains = np.array([cell.cell / 4.0 - np.eye(3) for cell in cells])
    assert np.abs(strains).max() <= 0.05
    assert np.abs(strains).max() > 0.04
    np.testing.assert_allclose(strains, strains.transpose(0, 2, 1), atol=1e-12)
    for strain in strains[::4]:
        np.testing.assert_allclose(strain, strain[0, 0] * np.eye(3), atol=1e-12)
    assert len({cell.id for cell in cells}) == 16


def test_rattled_cells_have_the_wished_displacements(emt, tmp_path):
    run = sampling_runs(spec({**RATTLE, "repeat": [2, 2, 1]}), seed=1)[0]
    cells = [frame.configuration for frame, _ in run_sampling(run, emt, tmp_path)]
    perfect = noisy("fcc", 4.0, (2, 2, 1), 0.0)
    moves = [c.positions - perfect.positions @ np.linalg.solve(perfect.cell, c.cell) for c in cells]
    assert np.std(moves) == pytest.approx(0.1, rel=0.1)
    scales = [c.cell[0, 0] / perfect.cell[0, 0] for c in cells]
    assert 0.97 <= min(scales) < 0.99
    assert 1.01 < max(scales) <= 1.03


@pytest.mark.parametrize(
    ("cell", "crystal", "atoms"),
    [("conventional", "fcc", 4), ("orthorhombic", "fcc", 2), ("primitive", "fcc", 1),
     ("conventional", "bcc", 2), ("conventional", "hcp", 2), ("orthorhombic", "hcp", 4)],
)  # fmt: skip
def test_cells_of_all_shapes_are_the_same_crystal(emt, tmp_path, cell, crystal, atoms):
    protocol = {**STRAIN, "cell": cell, "crystal": crystal, "strain": 1e-9}
    run = sampling_runs(spec(protocol), seed=1)[0]
    frame, label = run_sampling(run, emt, tmp_path)[0]
    conventional = noisy(crystal, 4.0, (1, 1, 1), 0.0)
    expected = emt.label([conventional], tmp_path)[0].energy / conventional.n_atoms
    assert frame.configuration.n_atoms == atoms
    assert label.energy / atoms == pytest.approx(expected, abs=1e-6)


def test_a_file_is_one_trajectory_found_beside_the_campaign(emt, tmp_path):
    cells = [noisy("fcc", 4.05, (1, 1, 1), 0.1, seed=seed) for seed in range(3)]
    write(tmp_path / "mine.extxyz", [to_atoms(cell) for cell in cells])
    (run,) = sampling_runs(spec({"kind": "import", "file": "mine.extxyz"}), seed=1)
    found = run_sampling(run, emt, tmp_path / "run", base=tmp_path)
    assert [frame.configuration.id for frame, _ in found] == [cell.id for cell in cells]
    assert {frame.trajectory for frame, _ in found} == {run.id}
    with pytest.raises(SpecError, match=r"mine\.extxyz"):
        run_sampling(run, emt, tmp_path / "run", base=tmp_path / "elsewhere")


def test_frames_that_are_no_configurations_are_named(emt, tmp_path):
    cells = [to_atoms(noisy("fcc", 4.05, (1, 1, 1), 0.1, seed=seed)) for seed in range(3)]
    cells[1].positions[0, 0] = np.nan
    write(tmp_path / "mine.extxyz", cells)
    (run,) = sampling_runs(spec({"kind": "import", "file": "mine.extxyz"}), seed=1)
    assert len(run_sampling(run, emt, tmp_path / "run", base=tmp_path)) == 2
    assert refused_frames(run, tmp_path) == {1: "positions: holds NaN or infinity"}
    write(tmp_path / "mine.extxyz", cells[1:2])
    with pytest.raises(SpecError, match="no frame is a configuration: positions: holds NaN"):
        run_sampling(run, emt, tmp_path / "run", base=tmp_path)


@pytest.mark.engines
def test_a_melt_quench_sees_all_phases(eam, tmp_path):
    protocol = {
        **MELT,
        "lattice_constant": 4.05,
        "repeat": [3, 2, 2],
        "t_melt": 2600.0,
        "t_hold": 1150.0,
        "heat": 5000.0,
        "hold": 12000.0,
        "quench": 2000.0,
        "timestep": 2.0,
        "every": 50.0,
    }
    run = sampling_runs(spec(protocol, potential=EAM), seed=1)[0]
    found = run_sampling(run, eam, tmp_path)
    phases = [item.phase for item in tag([frame.configuration for frame, _ in found])]
    assert len(found) == 380
    assert min(phases.count(phase) for phase in ("solid", "interface", "liquid")) >= 10
