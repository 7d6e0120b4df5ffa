"""Bond order against closed values, and phases on crystals and melts, made and simulated."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.special import sph_harm_y

from fw_nnp.core.records import Configuration, Frame
from fw_nnp.potentials import Segment
from fw_nnp.sampling.bonds import averaged_order, bonds_of, find_pairs, harmonics
from fw_nnp.sampling.phases import tag, tagged

from .conftest import gas, noisy

CRYSTALS = [
    ("fcc", 4.05, 12, 0.5745, 0.1909),
    ("bcc", 3.24, 14, 0.5107, 0.0364),
    ("hcp", 2.86, 12, 0.4848, 0.0972),
]


def test_harmonics_are_those_of_scipy():
    vectors = np.random.default_rng(0).normal(size=(20, 3))
    polar = np.arccos(vectors[:, 2] / np.linalg.norm(vectors, axis=1))
    azimuth = np.arctan2(vectors[:, 1], vectors[:, 0])
    for degree in (4, 6):
        expected = [sph_harm_y(degree, m, polar, azimuth) for m in range(degree + 1)]
        np.testing.assert_allclose(harmonics(degree, vectors), np.transpose(expected), atol=1e-12)


@pytest.mark.parametrize(("structure", "a", "neighbours", "q6", "q4"), CRYSTALS)
@pytest.mark.parametrize("repeat", [(1, 1, 1), (2, 2, 1), (2, 2, 2)])
def test_perfect_crystals_have_their_published_order(structure, a, neighbours, q6, q4, repeat):
    bonds = bonds_of(find_pairs([noisy(structure, a, repeat, 0.0)]))
    np.testing.assert_allclose(bonds.count(), neighbours, atol=1e-9)
    np.testing.assert_allclose(averaged_order(6, bonds), q6, atol=1e-4)
    np.testing.assert_allclose(averaged_order(4, bonds), q4, atol=1e-4)


def test_order_does_not_feel_rotation_or_the_choice_of_cell():
    start = noisy("fcc", 4.05, (2, 2, 1), 0.2)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turned = Configuration(
        cell=start.cell @ turn, positions=start.positions @ turn, numbers=start.numbers
    )
    doubled = Configuration(
        cell=start.cell * [[1], [1], [2]],
        positions=np.concatenate([start.positions, start.positions + start.cell[2]]),
        numbers=np.tile(start.numbers, 2),
    )
    order = averaged_order(6, bonds_of(find_pairs([start, turned, doubled])))
    np.testing.assert_allclose(order[16:32], order[:16], atol=1e-10)
    np.testing.assert_allclose(order[32:], np.tile(order[:16], 2), atol=1e-10)


@pytest.mark.parametrize(("structure", "a"), [crystal[:2] for crystal in CRYSTALS])
@pytest.mark.parametrize("repeat", [(1, 1, 1), (2, 2, 1), (2, 2, 2), (3, 3, 2)])
def test_crystals_with_thermal_noise_are_solid(structure, a, repeat):
    cells = [noisy(structure, a, repeat, 0.15, seed=seed) for seed in range(10)]
    assert {found.phase for found in tag(cells)} == {"solid"}


def test_atoms_anywhere_are_liquid():
    tags = tag([gas(32, seed=seed) for seed in range(10)])
    assert {found.phase for found in tags} == {"liquid"}
    assert max(found.solid_fraction for found in tags) == 0.0


def test_half_and_half_is_an_interface():
    solid = noisy("fcc", 4.05, (3, 3, 6), 0.1)
    molten = solid.positions[:, 2] > 12.0
    positions = solid.positions.copy()
    positions[molten] += np.random.default_rng(0).normal(scale=1.0, size=(molten.sum(), 3))
    half = Configuration(cell=solid.cell, positions=positions, numbers=solid.numbers)
    (found,) = tag([half])
    assert found.phase == "interface"
    assert found.solid_fraction == pytest.approx(0.5, abs=0.15)


@pytest.mark.engines
def test_simulated_crystals_are_solid_and_melts_are_liquid(eam, tmp_path):
    def phases(start, schedule, skip):
        snapshots = eam.run_md(
            start, schedule, timestep=2.0, every=50, pressure=0.0, seed=1, directory=tmp_path
        )
        return [found.phase for found in tag([s.configuration for s in snapshots[skip:]])]

    for repeat in ((1, 1, 1), (2, 2, 1), (2, 2, 2)):
        start = noisy("fcc", 4.05, repeat, 0.0)
        heated = phases(start, [Segment(steps=4000, t_start=300.0, t_end=900.0)], 0)
        assert set(heated) == {"solid"}
    melting = [Segment(steps=3000, t_start=3500.0, t_end=3500.0)]
    cooling = [Segment(steps=1000, t_start=3500.0, t_end=2000.0)]
    liquid = [Segment(steps=3000, t_start=2000.0, t_end=2000.0)]
    for repeat, share in (((2, 2, 1), 0.7), ((2, 2, 2), 0.99)):
        melt = phases(noisy("fcc", 4.05, repeat, 0.0), melting + cooling + liquid, 80)
        assert melt.count("liquid") >= share * len(melt)
        assert "solid" not in melt


def test_frames_keep_a_phase_that_they_have():
    cell = noisy("fcc", 4.05, (1, 1, 1), 0.1)
    frames = [
        Frame(configuration=cell, trajectory="trj-a", sampler="x", phase=phase)
        for phase in ("liquid", "")
    ]
    assert [frame.phase for frame in tagged(frames)] == ["liquid", "solid"]


def test_a_thousand_cells_take_about_a_second():
    cells = [noisy("fcc", 4.05, (2, 2, 2), 0.2)] * 1000
    start = time.perf_counter()
    tag(cells)
    assert time.perf_counter() - start < 5.0  # measured: 1.3 s
