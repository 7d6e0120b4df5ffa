"""Splits cut no trajectory, meet their fractions, keep the phases, and do not depend on order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, Label, LabelledConfiguration
from fw_nnp.core.splits import assign_parts, split

FRACTIONS = (0.8, 0.1, 0.1)


def item(place: float, trajectory: str = "", phase: str = "") -> LabelledConfiguration:
    configuration = Configuration(
        cell=np.eye(3) * 4, positions=np.array([[place, 0, 0]]), numbers=np.array([13])
    )
    label = Label(configuration_id=configuration.id, theory_id="thy-1", energy=place)
    return LabelledConfiguration(
        configuration=configuration, label=label, trajectory=trajectory, phase=phase
    )


def pool(seed: int) -> list[LabelledConfiguration]:
    """Twelve melt-quench trajectories with all three phases in uneven numbers."""
    random = np.random.default_rng(seed)
    return [
        item(random.random(), f"trj-{run}", phase)
        for run in range(12)
        for phase, most in (("solid", 20), ("interface", 6), ("liquid", 15))
        for _ in range(random.integers(1, most))
    ]


@pytest.mark.parametrize("seed", range(5))
def test_no_trajectory_is_cut_and_every_part_has_every_phase(seed):
    items = pool(seed)
    parts = split(items, FRACTIONS, seed)
    assert sorted(map(id, items)) == sorted(id(one) for part in parts for one in part)
    owners = [{one.trajectory for one in part} for part in parts]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    assert all({one.phase for one in part} == {"solid", "interface", "liquid"} for part in parts)
    for part, fraction in zip(parts, FRACTIONS, strict=True):
        assert len(part) / len(items) == pytest.approx(fraction, abs=0.06)


def test_random_split_meets_fractions_in_every_phase():
    items = [item(i / 300, "trj-1", ("solid", "interface", "liquid")[i % 3]) for i in range(300)]
    parts = split(items, FRACTIONS, seed=1, by="random")
    assert [len(part) for part in parts] == [240, 30, 30]
    for part, count in zip(parts, (80, 10, 10), strict=True):
        assert Counter(one.phase for one in part) == dict.fromkeys(
            ("solid", "interface", "liquid"), count
        )


def test_the_same_configuration_twice_is_not_in_two_parts():
    items = [item(i % 50 / 50) for i in range(100)]
    for by in ("trajectory", "random"):
        train, validation, test = (
            {one.configuration.id for one in part} for part in split(items, FRACTIONS, 1, by)
        )
        assert not train & validation
        assert not train & test
        assert not validation & test


def test_the_answer_depends_on_the_set_and_the_seed_only():
    items = pool(0)
    first = [{one.configuration.id for one in part} for part in split(items, FRACTIONS, 1)]
    again = [{one.configuration.id for one in part} for part in split(items[::-1], FRACTIONS, 1)]
    other = [{one.configuration.id for one in part} for part in split(items, FRACTIONS, 2)]
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([10, 10, 10], [10, 10, 10]),
        ([100, 5, 5], [5, 5, 100]),
        ([50] * 10, [50, 50, 400]),
        ([20, 20, 20, 1, 1, 1], [1, 2, 60]),
        ([37, 36, 35, 11, 10, *[1] * 65], [19, 19, 156]),
    ],
)
def test_groups_of_uneven_size(sizes, expected):
    groups = [f"trj-{i}" for i, size in enumerate(sizes) for _ in range(size)]
    parts = Counter(assign_parts(groups, [""] * len(groups), FRACTIONS, 1))
    assert sorted(parts.values()) == expected
    assert parts[0] == max(expected)


def test_a_part_of_nothing_stays_empty():
    train, validation, test = split([item(0.1), item(0.2)], (0.5, 0.5, 0.0), 1)
    assert (len(train), len(validation), len(test)) == (1, 1, 0)


def test_too_few_groups_are_refused_with_a_remedy():
    items = [item(i / 10, f"trj-{i % 2}") for i in range(10)]
    with pytest.raises(SpecError, match=r"2 independent group\(s\) cannot fill 3 parts") as caught:
        split(items, FRACTIONS, 1)
    assert "split by: random" in caught.value.remedy
    split(items, FRACTIONS, 1, by="random")


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.4, 0.2), (1.2, -0.1, -0.1)])
def test_fractions_add_up_to_one(fractions):
    with pytest.raises(SpecError, match="add up to 1"):
        split([item(0.1)], fractions, 1)
