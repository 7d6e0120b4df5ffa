"""Datasets: immutable, versioned, without leakage, and saying what is in them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from stores import DFT, EAM, block

from fw_nnp.core.errors import SpecError
from fw_nnp.core.splits import PARTS
from fw_nnp.store.contents import contents, leakage
from fw_nnp.store.datasets import linked
from fw_nnp.store.store import Store

HOW = {"split_by": ["trajectory"], "fractions": [0.6, 0.2, 0.2], "seed": 1}


def fill(store: Store, *blocks, campaign: str = "a") -> None:
    store.add_blocks(blocks, campaign=campaign, purpose="training", sampler="made")


def create(store: Store, series: str = "set", query: str = "", filter_=None, **changes) -> str:
    how = {**HOW, **changes}
    return store.create_dataset(series, filter_ or {}, query=query, **how)


def parts(store: Store, id_: str) -> dict[str, str]:
    return {label: part for part in PARTS for label in store.member_ids(id_, part)}


def test_a_version_is_known_by_its_content(store):
    fill(store, block(100))
    first = create(store)
    assert create(store) == first
    assert [d["version"] for d in store.versions("set")] == [1]
    assert create(store, "other", seed=2) != first
    with pytest.raises(SpecError, match="frozen as set-v1"):
        create(store, "another")


def test_no_trajectory_is_cut(store):
    fill(store, block(100))
    part_of = parts(store, create(store))
    homes = {}
    for document in store.label_documents({}, fields=["trajectory"]):
        homes.setdefault(document["trajectory"], set()).add(part_of[document["_id"]])
    assert len(homes) == 10
    assert all(len(found) == 1 for found in homes.values())
    assert {"train", "validation", "test"} == set(part_of.values())


def test_late_labels_make_the_next_version_and_nothing_changes_its_part(store):
    made = block(100)
    early = [i for i in range(100) if i % 4]  # of every trajectory some come late
    fill(store, rows(made, early))
    first = create(store)
    fill(store, made, block(40, seed=5))
    second = create(store)
    old, new = parts(store, first), parts(store, second)
    assert store.dataset("set")["version"] == 2
    assert store.dataset("set")["parent"] == first
    assert len(old) == 75
    assert len(new) == 140
    assert all(new[label] == part for label, part in old.items())
    homes = {}
    for document in store.label_documents({}, fields=["trajectory"]):
        homes.setdefault(document["trajectory"], set()).add(new[document["_id"]])
    assert all(len(found) == 1 for found in homes.values())
    difference = store.diff("set-v1", "set-v2")
    assert sum(map(len, difference["added"].values())) == 65
    assert difference["moved"] == {}
    assert difference["kept"] == 75


def rows(made, chosen):
    """Some rows of a block."""
    from dataclasses import replace

    names = ("numbers", "cells", "positions", "pbc", "energies", "forces", "stress")
    texts = ("label_ids", "configuration_ids", "theory_ids", "trajectories", "phases")
    return replace(
        made,
        **{name: getattr(made, name)[chosen] for name in names},
        **{name: [getattr(made, name)[i] for i in chosen] for name in texts},
    )


def test_mixing_levels_of_theory_must_be_asked_for(store):
    fill(store, block(30), block(30, theory=EAM))
    with pytest.raises(SpecError, match="2 levels of theory"):
        create(store)
    id_ = create(store, mixed=True)
    assert store.dataset(id_)["theories"] == sorted([DFT.id, EAM.id])
    shown = contents(store, "set")
    assert {t: sum(p.values()) for t, p in shown["counts"]["theory"].items()} == {
        DFT.id: 30,
        EAM.id: 30,
    }
    # the same configuration at both levels is in one part
    part_of = parts(store, id_)
    homes = {}
    for document in store.label_documents({}, fields=["configuration"]):
        homes.setdefault(document["configuration"], set()).add(part_of[document["_id"]])
    assert all(len(found) == 1 for found in homes.values())


def test_near_duplicates_stay_together_across_trajectories(store):
    made = block(40)
    twin = block(40)
    twin = type(twin).of_arrays(
        theory_id=DFT.id,
        numbers=13,
        cells=made.cells,
        positions=made.positions + np.random.default_rng(1).normal(scale=1e-4, size=(40, 4, 3)),
        energies=made.energies,
        trajectories=[f"again-{i // 10}" for i in reversed(range(40))],
    )
    fill(store, made, twin)
    id_ = create(store, split_by=["trajectory", "near_duplicates"], fractions=[0.5, 0.25, 0.25])
    part_of = parts(store, id_)
    for one, two in zip(made.label_ids, twin.label_ids, strict=True):
        assert part_of[one] == part_of[two]
    assert leakage(store, id_)["near_duplicates"] == 0
    careless = create(store, "careless", split_by=["trajectory"], fractions=[0.5, 0.25, 0.25])
    assert leakage(store, careless)["near_duplicates"] > 0


def test_groups_are_linked_through_any_rule():
    a = ["1", "2", "3", "4", "5"]
    b = ["x", "x", "y", "y", "z"]
    c = ["p", "q", "q", "r", "s"]
    assert linked([a, b, c]) == ["1", "1", "1", "1", "5"]


def test_contents_count_and_measure(store):
    fill(store, block(60), block(30, n_atoms=2, seed=3, numbers=28))
    create(store)
    shown = contents(store, "set-v1")
    assert {n: sum(p.values()) for n, p in shown["counts"]["system"].items()} == {
        "Al": 60,
        "Ni": 30,
    }
    assert sum(map(lambda p: sum(p.values()), shown["counts"]["phase"].values())) == 90
    assert shown["ranges"]["n_atoms"] == {"least": 2.0, "median": 4.0, "greatest": 4.0}
    assert shown["theories"][DFT.id]["code"] == "espresso"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filter_": {"campaign": "nobody"}}, "no label matches"),
        ({"split_by": ["trajectories"]}, "'trajectories' is no rule"),
    ],
)
def test_wrong_requests_are_refused(store, changes, message):
    fill(store, block(30))
    with pytest.raises(SpecError, match=message):
        create(store, **changes)
    assert store.datasets() == []


def test_members_beyond_one_document_are_kept_in_slices(store, monkeypatch):
    monkeypatch.setattr("fw_nnp.store.datasets.SLICE", 7)
    fill(store, block(60))
    id_ = create(store)
    assert len(parts(store, id_)) == 60
    assert all(store.member_ids(id_, p) == sorted(store.member_ids(id_, p)) for p in PARTS)


@pytest.mark.engines
def test_two_writers_make_two_versions(mongo_store):
    """Both find no version; the unique index lets one be the first, the other becomes the next."""
    from concurrent.futures import ThreadPoolExecutor

    def freeze(number: int) -> str:
        split = {"train": [f"lbl-{number}"]}
        return mongo_store.freeze_dataset("set", theories=[DFT.id], split=split)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(freeze, range(8)))
    versions = mongo_store.versions("set")
    assert {d["_id"] for d in versions} == set(made)
    assert [d["version"] for d in versions] == list(range(1, 9))


@pytest.mark.engines
def test_versions_hold_while_labels_arrive(mongo_store):
    """Two writers freeze what is there after each delivery while ten readers look: what they
    have seen of a version stays, nothing goes, and no label ever changes its part."""
    from concurrent.futures import ThreadPoolExecutor

    made = block(240, seed=1)
    deliveries = [range(start, 240, 8) for start in range(8)]  # of every trajectory some come late
    done: list[int] = []

    def write(chosen) -> None:
        for delivery in chosen:
            fill(mongo_store, rows(made, delivery))
            create(mongo_store)
        done.append(1)

    def read(_: int) -> dict[str, dict[str, str]]:
        seen: dict[str, dict[str, str]] = {}
        while len(done) < 2:
            for version in mongo_store.versions("set"):
                members = parts(mongo_store, version["_id"])
                assert len(members) == sum(version["counts"].values())
                assert seen.setdefault(version["_id"], members) == members
        return seen

    with ThreadPoolExecutor(12) as pool:
        writing = [pool.submit(write, deliveries[i::2]) for i in range(2)]
        reading = [pool.submit(read, i) for i in range(10)]
        for future in (*writing, *reading):
            future.result()
    versions = mongo_store.versions("set")
    assert [d["version"] for d in versions] == list(range(1, len(versions) + 1))
    for reader in reading:
        for id_, members in reader.result().items():
            assert parts(mongo_store, id_) == members
    for before, after in pairwise(versions):
        difference = mongo_store.diff(before["_id"], after["_id"])
        assert after["parent"] == before["_id"]
        assert difference["removed"] == {part: [] for part in PARTS}
        assert difference["moved"] == {}
    assert len(parts(mongo_store, versions[-1]["_id"])) == 240
