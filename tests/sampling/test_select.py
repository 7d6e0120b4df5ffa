"""Selection: by phase, spread over trajectories, no duplicates, reproducible."""

from __future__ import annotations

import itertools
import logging
from collections import Counter

import numpy as np
import pytest

from fw_nnp.core.errors import SamplingError, SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.records import Frame, Label
from fw_nnp.core.specs import SelectSpec
from fw_nnp.sampling import SELECTORS, select_frames
from fw_nnp.sampling.features import features, standardised
from fw_nnp.sampling.select import farthest_point, stride

from .conftest import gas, noisy


def pool() -> tuple[list[Frame], list[Label]]:
    """120 frames: six trajectories, each half solid and half liquid; the first is the longest."""
    frames = []
    for number, length in enumerate((70, 10, 10, 10, 10, 10)):
        for step in range(length):
            seed = 1000 * number + step
            solid = step % 2 == 0
            cell = noisy("fcc", 4.05, (2, 2, 1), 0.1, seed=seed) if solid else gas(16, seed=seed)
            phase = "solid" if solid else "liquid"
            frames.append(
                Frame(
                    configuration=cell, trajectory=f"trj-{number}", sampler="x", step=step,
                    phase=phase,
                )
            )  # fmt: skip
    return frames, [label(frame, force=1.0) for frame in frames]


def label(frame: Frame, *, force: float) -> Label:
    forces = np.full((frame.configuration.n_atoms, 3), force / 3**0.5)
    return Label(
        configuration_id=frame.configuration.id, theory_id="thy-x", energy=0.0, forces=forces
    )


def spec(**changes) -> SelectSpec:
    return parse(SelectSpec, {"phases": {"solid": 12, "liquid": 18}, **changes}, place="test")


@pytest.mark.parametrize("method", list(SELECTORS))
def test_each_method_takes_what_is_wished_of_each_phase_and_spreads_it(method):
    frames, labels = pool()
    chosen = select_frames(frames, labels, spec(method=method), seed=1)
    by_id = {frame.configuration.id: frame for frame in frames}
    picked = [by_id[id_] for id_ in chosen]
    assert len(set(chosen)) == 30
    assert Counter(frame.phase for frame in picked) == {"solid": 12, "liquid": 18}
    for phase, most in (("solid", 4), ("liquid", 6)):
        counts = Counter(frame.trajectory for frame in picked if frame.phase == phase)
        assert max(counts.values()) <= most, "twice the even share of six trajectories"
        assert len(counts) >= 3
    assert chosen == select_frames(frames, labels, spec(method=method), seed=1)


def test_a_trajectory_gives_more_where_the_others_run_short():
    frames, labels = pool()
    chosen = select_frames(frames, labels, spec(phases={"solid": 50}), seed=1)
    by_id = {frame.configuration.id: frame for frame in frames}
    counts = Counter(by_id[id_].trajectory for id_ in chosen)
    assert len(chosen) == 50
    assert counts["trj-0"] == 25


def test_samplers_share_a_phase_evenly():
    frames, labels = pool()
    strained = [
        Frame(
            configuration=noisy("fcc", 4.0 + 0.01 * i, (1, 1, 1), 0.0),
            trajectory=f"trj-strain-{i % 2}",
            sampler="strain",
            phase="solid",
        )
        for i in range(20)
    ]
    labels += [label(frame, force=0.0) for frame in strained]
    chosen = select_frames(frames + strained, labels, spec(phases={"solid": 20}), seed=1)
    by_id = {frame.configuration.id: frame for frame in frames + strained}
    assert Counter(by_id[id_].sampler for id_ in chosen) == {"x": 10, "strain": 10}


def test_forces_above_the_window_and_large_cells_are_left_out():
    frames, labels = pool()
    wild = {frames[i].configuration.id for i in range(0, 120, 3)}
    labels = [
        label(frame, force=40.0) if frame.configuration.id in wild else old
        for frame, old in zip(frames, labels, strict=True)
    ]
    assert wild.isdisjoint(select_frames(frames, labels, spec(), seed=1))
    assert wild & set(select_frames(frames, labels, spec(max_force=41.0), seed=1))
    big = Frame(configuration=noisy("fcc", 4.05, (2, 2, 2), 0.3), trajectory="trj-big", sampler="x")
    frames.append(big)
    labels.append(label(big, force=1.0))
    wishes = {"phases": {"solid": 200}}
    assert big.configuration.id in select_frames(frames, labels, spec(**wishes), seed=1)
    small = spec(**wishes, max_atoms=16)
    assert big.configuration.id not in select_frames(frames, labels, small, seed=1)


@pytest.mark.parametrize("method", list(SELECTORS))
def test_near_duplicates_are_taken_once(method):
    frames, labels = pool()
    copies = []
    for frame in frames:
        turned = type(frame.configuration)(
            cell=frame.configuration.cell[[1, 2, 0]],
            positions=frame.configuration.positions[::-1] + 1e-5,
            numbers=frame.configuration.numbers,
        )
        copies.append(Frame(configuration=turned, trajectory="trj-copy", sampler="x"))
    wishes = spec(method=method, phases={"solid": 200})
    chosen = select_frames(
        frames + copies, labels + [label(copy, force=1.0) for copy in copies], wishes, seed=1
    )
    assert len(chosen) == 60


def test_too_few_frames_are_taken_and_reported(caplog):
    frames, labels = pool()
    with caplog.at_level(logging.WARNING):
        chosen = select_frames(frames, labels, spec(phases={"interface": 5, "solid": 3}), seed=1)
    assert len(chosen) == 3
    assert "0 interface frames where 5 were wished" in caplog.text


def test_farthest_points_cover_better_than_chance():
    values = np.random.default_rng(0).normal(size=(400, 2)) ** 3

    def largest_gap(rows):
        return np.linalg.norm(values[:, None] - values[rows], axis=2).min(axis=1).max()

    rng = np.random.default_rng(1)
    far = list(itertools.islice(farthest_point(values, rng), 20))
    chance = rng.permutation(400)[:20]
    assert largest_gap(far) < 0.5 * largest_gap(chance)
    assert sorted(farthest_point(values, rng)) == list(range(400))


def test_stride_is_even_at_any_length():
    rng = np.random.default_rng(0)
    assert sorted(stride(np.zeros((37, 1)), rng)) == list(range(37))
    first = sorted(itertools.islice(stride(np.zeros((64, 1)), rng), 8))
    assert np.diff(first).tolist() == [8] * 7
    assert list(stride(np.zeros((1, 1)), rng)) == [0]


def test_features_do_not_feel_rotation_repetition_or_order():
    start = noisy("fcc", 4.05, (2, 1, 1), 0.2)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    same = type(start)(
        cell=(start.cell * [[1], [2], [1]]) @ turn,
        positions=np.concatenate([start.positions[::-1], start.positions + start.cell[1]]) @ turn,
        numbers=np.tile(start.numbers, 2),
    )
    first, second = features([start, same])
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(features([noisy("fcc", 4.05, (2, 1, 1), 0.3)])[0] - first).max() > 0.01


def test_standardised_columns_without_spread_do_not_count():
    values = np.column_stack([np.arange(5.0), np.full(5, 7.0)])
    found = standardised(values)
    np.testing.assert_allclose(found[:, 1], 0.0)
    np.testing.assert_allclose(found[:, 0].std(), 1 / np.sqrt(2))


def test_an_empty_pool_and_an_unknown_method_are_errors():
    frames, labels = pool()
    with pytest.raises(SamplingError, match="empty"):
        select_frames([], [], spec(), seed=1)
    with pytest.raises(SpecError, match="did you mean 'farthest_point'"):
        select_frames(frames, labels, spec(method="farthest_points"), seed=1)
