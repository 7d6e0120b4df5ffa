"""Column by column is the same as one by one, only faster."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import bson
import numpy as np
import pytest
import torch
from pymongo.errors import OperationFailure
from stores import DFT, block

from fw_nnp.core.blocks import Block, blocks_of
from fw_nnp.core.errors import LabelConflict, SpecError, StoreError
from fw_nnp.core.records import Frame
from fw_nnp.store.columns import tables
from fw_nnp.store.documents import row_documents
from fw_nnp.store.rows import LARGEST, block_rows, decoded


def same(one, two) -> bool:
    """Whether two labelled configurations agree to the last bit."""
    pairs = [
        (one.configuration.cell, two.configuration.cell),
        (one.configuration.positions, two.configuration.positions),
        (one.configuration.numbers, two.configuration.numbers),
        (one.label.forces, two.label.forces),
        (one.label.stress, two.label.stress),
    ]
    return (
        all(np.array_equal(a, b) for a, b in pairs)
        and one.label.id == two.label.id
        and one.configuration.id == two.configuration.id
        and one.label.energy == two.label.energy
        and (one.trajectory, one.phase) == (two.trajectory, two.phase)
        and one.configuration.pbc == two.configuration.pbc
    )


def test_ids_are_those_of_single_records():
    made = block(20)
    made.positions[0, 0] = [-0.0, 1e-11, 0.0]
    fresh = Block.of_arrays(
        theory_id=DFT.id,
        numbers=made.numbers,
        cells=made.cells,
        positions=made.positions,
        energies=made.energies,
        pbc=[True, False, True],
    )
    for i in range(len(fresh)):
        row = fresh.row(i)
        assert row.configuration.id == fresh.configuration_ids[i]
        assert row.label.id == fresh.label_ids[i]


def test_blocks_come_back_to_the_last_bit(store):
    put = [block(30), block(25, n_atoms=2, seed=1)]
    assert store.add_blocks(put, campaign="a", purpose="training", sampler="made") == 55
    assert store.add_blocks(put, campaign="a", purpose="training", sampler="made") == 0
    rows = {i: b.row(k) for b in put for k, i in enumerate(b.label_ids)}
    streamed = [b.row(k) for b in store.blocks({"campaign": "a"}) for k in range(len(b))]
    assert len(streamed) == 55
    assert all(same(item, rows[item.label.id]) for item in streamed)
    assert all(same(item, rows[item.label.id]) for item in store.labels({}))
    assert {f.configuration.id for f in store.frames({})} == {
        item.configuration.id for item in rows.values()
    }


@pytest.mark.engines
def test_a_stream_that_is_left_early_leaves_nothing_open(mongo_store, launchpad, monkeypatch):
    """The next batch is read ahead; its cursor and its thread must not outlive the stream."""
    monkeypatch.setattr("fw_nnp.store.mongo.SLICE", 5)
    mongo_store.add_blocks([block(40)], campaign="a", purpose="training", sampler="made")

    def opened() -> tuple[int, int]:
        status = launchpad.connection.admin.command("serverStatus")
        # by name: threads of what other tests have closed end when they like
        readers = [one for one in threading.enumerate() if one.name.startswith("read-ahead")]
        return status["metrics"]["cursor"]["open"]["total"], len(readers)

    before = opened()
    stream = mongo_store.documents.find_raw("labels", {})
    next(stream)
    assert opened() == (before[0] + 1, before[1] + 1)
    stream.close()
    assert opened() == before
    assert len(list(mongo_store.documents.find_raw("labels", {}))) == 8
    assert opened() == before


@pytest.mark.engines
def test_what_fails_while_reading_ahead_is_raised(mongo_store, monkeypatch):
    monkeypatch.setattr("fw_nnp.store.mongo.SLICE", 5)
    mongo_store.add_blocks([block(40)], campaign="a", purpose="training", sampler="made")
    divided = {"$expr": {"$gt": [{"$divide": [1, "$corrections"]}, 0]}}
    with pytest.raises(OperationFailure, match="divide"):
        list(mongo_store.documents.find_raw("labels", divided))


def test_a_block_and_single_labels_make_the_same_documents(store):
    made = block(5)
    items = [made.row(i) for i in range(5)]
    frames = [
        Frame(configuration=i.configuration, trajectory=i.trajectory, sampler="made", phase=i.phase)
        for i in items
    ]
    store.add_frames(frames, campaign="a")
    pairs = [(frame, item.label) for frame, item in zip(frames, items, strict=True)]
    store.add_labels(pairs, campaign="a", purpose="training")
    assert store.add_blocks([made], campaign="a", purpose="training", sampler="made") == 0


def test_documents_made_together_are_those_made_one_by_one():
    """Phases, formulas, periodicity, provenance and lengths of texts differ from row to row."""
    n = 30
    made = block(n)
    made = replace(
        made,
        numbers=np.where(np.arange(n)[:, None] % 4 == [0, 1, 2, 9], 28, 13).astype(np.uint8),
        pbc=np.arange(n)[:, None] % 2 == [0, 1, 0],
        trajectories=[("trj-", "Å", "")[i % 3] * (i % 5) for i in range(n)],
    )
    frames = [
        {
            "sampler": ("md", "rattle")[i % 2],
            "temperature": 100 * i,
            "step": 3**i,
            "time": i / 3,
            "provenance": {"file": "x" * i} | ({"corrections": ["a"] * i} if i % 3 else {}),
        }
        for i in range(n)
    ]
    lists = {"campaign": ["a"], "purpose": ["training"]}
    for one in (made, replace(made, forces=None), replace(made, stress=None)):
        plain = {}
        for i in range(n):
            configuration, label = row_documents(one, i, "espresso", frames[i])
            plain[configuration["_id"]] = configuration | {"campaign": ["a"]}
            plain[label["_id"]] = label | lists
        seen = set()
        for pair in block_rows(one, "espresso", frames, lists):
            for rows in pair:
                for id_, document in zip(rows.ids, decoded(b"".join(rows.data)), strict=True):
                    assert document.pop("created") - plain[id_].pop("created") < timedelta(hours=1)
                    assert document == plain[id_]
                    assert document["_id"] == id_
                    seen.add(id_)
        assert seen == plain.keys()


def test_large_cells_are_made_in_small_pieces():
    frame = {"sampler": "md", "temperature": 0, "step": 0, "time": 0, "provenance": {}}
    made = block(5, n_atoms=100_000)
    pieces = [labels for _, labels in block_rows(made, "espresso", [frame] * 5, {})]
    assert sum(len(piece.ids) for piece in pieces) == 5
    assert max(sum(map(len, piece.data)) for piece in pieces) < 2 * LARGEST


@pytest.mark.parametrize("n", [1, 2])
def test_few_labels_become_tensors_too(store, n):
    store.add_blocks([block(n, n_atoms=3)], campaign="a", purpose="training", sampler="made")
    for found in store.blocks({}):
        for array in (found.positions, found.cells, found.forces, found.stress, found.energies):
            assert array.strides == np.zeros(array.shape).strides
            assert torch.from_numpy(array).shape == array.shape


def test_labels_without_forces_and_stress_stream_too(store):
    bare = Block.of_arrays(
        theory_id=DFT.id,
        numbers=[13, 28],
        cells=np.zeros((3, 3, 3)),
        positions=np.random.default_rng(0).normal(size=(3, 2, 3)),
        energies=[1.0, 2.0, 3.0],
        pbc=False,
    )
    store.add_blocks([bare, block(3)], campaign="a", purpose="pool", sampler="made")
    found = list(store.blocks({"system": "Al-Ni"}))
    assert sum(len(b) for b in found) == 3
    assert {(b.forces is None, b.stress is None) for b in found} == {(True, True)}
    assert sorted(e for b in found for e in b.energies) == [1.0, 2.0, 3.0]


def test_conflicts_in_a_block_are_all_kept(store):
    made = block(10)
    store.add_blocks([made], campaign="a", purpose="training", sampler="made")
    made.energies[:3] += 1.0
    with pytest.raises(LabelConflict, match=r"250 meV/atom.*2 more"):
        store.add_blocks([made], campaign="a", purpose="training", sampler="made")
    assert store.count_conflicts() == 3
    assert store.count_labels({}) == 10


def test_a_conflict_does_not_stop_the_labels_after_it(store):
    made, more = block(3), block(4, n_atoms=2)
    store.add_blocks([made], campaign="a", purpose="training", sampler="made")
    made.energies[0] += 1.0
    with pytest.raises(LabelConflict, match="all other labels are kept"):
        store.add_blocks([made, more], campaign="b", purpose="training", sampler="made")
    assert store.count_labels({"campaign": "b"}) == 7


def test_twins_in_one_block_are_one_record_and_contradictions_are_seen(store):
    first, twin = block(3), block(3)
    twice = [first.row(i) for i in range(3)] + [twin.row(i) for i in range(3)]
    (both,) = blocks_of(twice, 6)
    assert store.add_blocks([both], campaign="a", purpose="training", sampler="made") == 3
    assert store.count_labels({}) == 3
    (other,) = blocks_of([block(1, seed=3).row(0)] * 2, 2)
    other.energies[1] += 1.0
    with pytest.raises(LabelConflict, match="250 meV/atom"):
        store.add_blocks([other], campaign="a", purpose="training", sampler="made")
    assert store.count_conflicts() == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("positions", np.zeros((2, 4)), r"\(B, N, 3\)"),
        ("positions", np.full((2, 4, 3), np.nan), "NaN"),
        ("forces", np.zeros((2, 5, 3)), "forces: shape"),
        ("numbers", [0, 1, 2, 3], "1 to 118"),
        ("energies", [1.0], "energies: shape"),
        ("phases", ["solid"], "1 texts for 2 rows"),
    ],
)
def test_bad_arrays_are_refused(name, value, message):
    good = {
        "theory_id": "thy-1",
        "numbers": 13,
        "cells": np.ones((2, 3, 3)),
        "positions": np.zeros((2, 4, 3)),
        "energies": [0.0, 1.0],
        "forces": np.zeros((2, 4, 3)),
    }
    with pytest.raises(SpecError, match=message):
        Block.of_arrays(**{**good, name: value})


def test_an_unknown_phase_is_refused(store):
    made = block(2)
    made.phases[1] = "plasma"
    with pytest.raises(SpecError, match="'plasma' is no phase"):
        store.add_blocks([made], campaign="a", purpose="pool", sampler="made")
    assert store.count_labels({}) == 0


def test_items_gather_in_blocks_of_one_shape():
    items = [block(7).row(i) for i in range(7)] + [block(2, n_atoms=2).row(i) for i in range(2)]
    blocks = list(blocks_of(items, 3))
    assert sorted((len(b), b.n_atoms) for b in blocks) == [(1, 4), (2, 2), (3, 4), (3, 4)]
    again = [b.row(i) for b in blocks for i in range(len(b))]
    known = {item.label.id: item for item in items}
    assert all(same(item, known[item.label.id]) for item in again)


# ---------------------------------------------------------------- BSON as columns


def test_tables_read_any_mix_of_layouts():
    documents = [
        {"_id": f"lbl-{i}", "x": i / 3, "name": "å" * (i % 3), "on": i % 2 == 0, "deep": {"n": i}}
        for i in range(50)
    ] + [{"_id": "lbl-x", "blob": b"12345678"}]
    found = {}
    for table in tables(b"".join(map(bson.encode, documents))):
        for i, id_ in enumerate(table.texts("_id")):
            if "blob" in table:
                found[id_] = {"_id": id_, "blob": table.binary("blob")[i].tobytes()}
            else:
                found[id_] = {
                    "_id": id_,
                    "x": float(table.numbers("x")[i]),
                    "name": table.texts("name")[i],
                    "on": bool(table.numbers("on")[i]),
                    "deep": {"n": int(table.numbers("deep.n")[i])},
                }
    assert [found[d["_id"]] for d in documents] == documents


def test_a_wrong_shape_is_not_reshaped():
    document = {"_id": "a", "forces": {"shape": [2, 3], "data": b"\0" * 48}}
    (table,) = tables(bson.encode(document))
    with pytest.raises(StoreError, match="48 bytes"):
        table.array("forces", 3, 3)


def test_what_is_no_column_is_named():
    with pytest.raises(StoreError, match="'pattern'"):
        list(tables(bson.encode({"_id": "a", "pattern": None})))
