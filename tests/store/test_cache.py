"""The packed cache gives back every bit, and is safe whoever reads or writes beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from stores import DFT, block

from fw_nnp.core.blocks import Block
from fw_nnp.core.errors import StoreError
from fw_nnp.core.packed import Packed
from fw_nnp.store.cache import packed, packed_query


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def fill(store):
    bare = Block.of_arrays(
        theory_id=DFT.id,
        numbers=[13, 28],
        cells=np.zeros((3, 3, 3)),
        positions=np.random.default_rng(0).normal(size=(3, 2, 3)),
        energies=[1.0, 2.0, 3.0],
        pbc=[False, True, False],
    )
    store.add_blocks(
        [block(30), bare, block(7, n_atoms=9)], campaign="a", purpose="training", sampler="made"
    )


def test_rows_come_back_to_the_last_bit_in_the_order_of_ids(store, cache):
    fill(store)
    cached = packed_query(store, {}, cache)
    kept = list(store.labels({}))
    assert cached.label_ids == [item.label.id for item in kept]
    assert len(cached) == len(kept) == 40
    for mine, item in zip(cached, kept, strict=True):
        assert mine.label.id == item.label.id
        assert mine.configuration.id == item.configuration.id
        assert np.array_equal(mine.configuration.positions, item.configuration.positions)
        assert mine.label.energy == item.label.energy
        for name in ("forces", "stress"):
            one, two = getattr(mine.label, name), getattr(item.label, name)
            assert (one is None) == (two is None)
            assert one is None or np.array_equal(one, two)
        assert (mine.trajectory, mine.phase) == (item.trajectory, item.phase)
        assert mine.configuration.pbc == item.configuration.pbc
    assert cached[-1].label.id == kept[-1].label.id
    with pytest.raises(IndexError):
        cached[40]


def test_the_second_reading_asks_the_database_for_nothing(store, cache):
    fill(store)
    ids = [d["_id"] for d in store.label_documents({})]
    first = packed(store, ids, cache)
    store._documents.find = store._documents.find_raw = None
    again = packed(store, list(reversed(ids)), cache)
    assert again.label_ids == first.label_ids
    assert len(list(cache.iterdir())) == 1


def test_many_readers_and_writers_at_once(store, cache):
    fill(store)
    ids = [d["_id"] for d in store.label_documents({})]
    with ThreadPoolExecutor(8) as pool:
        sums = list(
            pool.map(
                lambda _: sum(item.label.energy for item in packed(store, ids, cache)),
                range(16),
            )
        )
    assert len(set(sums)) == 1
    assert [p.suffix for p in cache.iterdir()] == [".packed"]


def test_missing_labels_and_damage_are_told(store, cache):
    fill(store)
    with pytest.raises(StoreError, match=r"lbl-gone.*1 labels are not in the store"):
        packed(store, ["lbl-gone"], cache)
    assert not cache.exists()
    packed_query(store, {"n_atoms": 9}, cache)
    (path,) = cache.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="cut off"):
        Packed(path)
    path.write_bytes(b"something else")
    with pytest.raises(StoreError, match="not a packed file"):
        Packed(path)
