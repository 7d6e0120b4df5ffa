"""What a group needs for ten years: checks, backups, migration, roles, and kill -9."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import bson
import pytest
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure
from stores import DFT, EAM, block

from fw_nnp.core.errors import SpecError, StoreError
from fw_nnp.core.records import label_id
from fw_nnp.services.launchpad import add_reader, connect, read, write
from fw_nnp.store.backup import backup, restore
from fw_nnp.store.check import check
from fw_nnp.store.memory import MemoryDocuments
from fw_nnp.store.migrate import migrate, outdated
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store

FIRST_SCHEMA = Path(__file__).parent / "schema_1.bson"


def fill(store: Store) -> str:
    """Labels at two levels, a dataset, a model; returns the dataset's id."""
    store.open_campaign("a", {"name": "a"}, "/somewhere")
    store.add_blocks([block(40)], campaign="a", purpose="training", sampler="made")
    store.add_blocks([block(40, theory=EAM)], campaign="a", purpose="pool", sampler="made")
    dataset = store.create_dataset(
        "a",
        {"theory": DFT.id},
        query="",
        split_by=["trajectory"],
        fractions=[0.5, 0.25, 0.25],
        seed=1,
    )
    store.add_model("mdl-1", b"weights", {"campaign": "a", "stage": "train", "source": dataset})
    return dataset


def problems(store: Store) -> str:
    return "\n".join(check(store.documents).problems)


# ---------------------------------------------------------------- check


def test_a_whole_store_has_no_problems(store):
    fill(store)
    health = check(store.documents)
    assert health.problems == []
    assert health.counts["labels"] == 80
    assert health.counts["configurations"] == 40
    assert health.counts["members"] == 3


@pytest.mark.parametrize(
    ("collection", "change", "message"),
    [
        ("labels", {"energy": float("nan")}, "not finite"),
        ("labels", {"configuration": "cfg-" + "0" * 32}, "another question"),
        ("labels", {"theory": "thy-" + "0" * 32}, "is not in theories"),
        ("configurations", {"numbers": bytes([28] * 4)}, "the geometry is that of"),
        ("theories", {"settings": {"ecutwfc": 1.0}}, "settings were changed"),
        ("members", {"labels": ["lbl-gone"]}, "has other members"),
        ("members", {"dataset": "set-gone"}, "orphan, no such dataset: harmless if a"),
        ("models", {"source": "set-gone"}, "its dataset set-gone is gone"),
        ("models", {"blob": "0" * 64}, "is gone"),
        ("models", {"blob": "0" * 64}, "orphan, no model has it: harmless if a"),
    ],
)
def test_damage_is_named(store, collection, change, message):
    fill(store)
    document = next(store.documents.find(collection, {}))
    store.documents.replace(collection, {**document, **change})
    assert message in problems(store)


# ---------------------------------------------------------------- backup


def test_a_backup_restores_into_an_empty_database_bit_by_bit(store, tmp_path):
    fill(store)
    counts = backup(store.documents, tmp_path / "all.tar")
    assert counts["labels"] == 80
    empty = MemoryDocuments()
    assert restore(empty, tmp_path / "all.tar") == counts
    assert check(empty).problems == []
    again = Store(empty)
    assert again.model_data("mdl-1") == b"weights"
    for name in ("labels", "configurations", "datasets", "members", "models", "campaigns"):
        old = {d["_id"]: bson.encode(d) for d in store.documents.find(name, {})}
        assert {d["_id"]: len(bson.encode(d)) for d in empty.find(name, {})} == {
            id_: len(data) for id_, data in old.items()
        }
    with pytest.raises(SpecError, match="not empty"):
        restore(store.documents, tmp_path / "all.tar")
    with pytest.raises(SpecError, match="the file exists"):
        backup(store.documents, tmp_path / "all.tar")


@pytest.mark.engines
def test_a_backup_restores_into_mongodb(mongo_store, launchpad, tmp_path):
    fill(mongo_store)
    counts = backup(mongo_store.documents, tmp_path / "all.tar")
    client = launchpad.connection
    name = f"{launchpad.name}_restored"
    try:
        other = MongoDocuments(client[name])
        assert restore(other, tmp_path / "all.tar") == counts
        assert check(other).problems == []
        for collection in ("labels", "datasets", "models"):
            old = list(client[launchpad.name][collection].find().sort("_id"))
            assert list(client[name][collection].find().sort("_id")) == old
        assert client[name].labels.index_information().keys() > {"_id_", "max_force_1"}
    finally:
        client.drop_database(name)


def test_a_damaged_or_cut_archive_is_refused(store, tmp_path):
    fill(store)
    backup(store.documents, tmp_path / "all.tar")
    whole = (tmp_path / "all.tar").read_bytes()
    place = whole.index(b"positions") + 60
    (tmp_path / "flipped.tar").write_bytes(
        whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    )
    with pytest.raises(StoreError, match="damaged"):
        restore(MemoryDocuments(), tmp_path / "flipped.tar")
    for size in (len(whole) // 2, whole.index(b"manifest.json") - 1024):
        (tmp_path / "cut.tar").write_bytes(whole[:size])
        with pytest.raises(StoreError, match=r"cut off|no whole archive|damaged"):
            restore(MemoryDocuments(), tmp_path / "cut.tar")
    (tmp_path / "other.tar").write_text("something else")
    with pytest.raises(StoreError, match="no whole archive"):
        restore(MemoryDocuments(), tmp_path / "other.tar")


# ---------------------------------------------------------------- migration


def first_schema(documents) -> None:
    """A database as the first schema had it."""
    options = CodecOptions(tz_aware=True)
    for entry in bson.decode_all(FIRST_SCHEMA.read_bytes(), options):
        if "blob" in entry:
            documents.put_blob(entry["blob"], entry["data"])
        else:
            documents.add_raw(entry["collection"], bson.encode(entry["document"]))


def test_a_database_of_the_first_schema_is_brought_up_to_date(request, store):
    documents = MemoryDocuments()
    if isinstance(store.documents, MongoDocuments):
        pad = request.getfixturevalue("launchpad")
        pad.connection.drop_database(pad.name)
        documents = MongoDocuments(pad.db)
    first_schema(documents)
    assert outdated(documents)
    changed = migrate(documents)
    assert changed["labels"] == 22
    assert not outdated(documents)
    assert sum(migrate(documents).values()) == 0
    assert check(documents).problems == []
    old = Store(documents)
    assert old.dataset("old")["name"] == "old-v1"
    assert len(old.dataset_part(old.dataset("old")["_id"], "train")) == 6
    assert sum(len(b) for b in old.blocks({"system": "Al-Ni"})) == 11
    assert old.model_data("mdl-old") == b"weights"
    assert [d["error_class"] for d in old.quarantined({})] == ["geometry"]


def test_a_newer_schema_is_refused(store):
    fill(store)
    document = next(store.documents.find("labels", {}))
    store.documents.replace("labels", {**document, "schema": 99})
    with pytest.raises(StoreError, match="schema 99"):
        migrate(store.documents)


# ---------------------------------------------------------------- roles


@pytest.mark.engines
def test_a_reader_can_query_and_export_but_not_write(mongo_store, launchpad_file, tmp_path):
    fill(mongo_store)
    settings = add_reader(launchpad_file, "guest")
    write(tmp_path / "guest.yaml", settings)
    assert read(tmp_path / "guest.yaml").username == "guest"
    guest = Store(MongoDocuments(connect(tmp_path / "guest.yaml").db))
    assert guest.count_labels({"code": "espresso", "elements": "Al"}) == 40
    assert sum(len(b) for b in guest.blocks({"theory": DFT.id})) == 40
    assert len(guest.dataset_part(guest.dataset("a")["_id"], "train")) > 0
    assert guest.model_data("mdl-1") == b"weights"
    assert check(guest.documents).problems == []
    with pytest.raises(OperationFailure, match="not authorized"):
        guest.add_blocks([block(2, seed=9)], campaign="b", purpose="pool", sampler="made")
    with pytest.raises(OperationFailure, match="not authorized"):
        guest.add_blob(b"x")
    assert mongo_store.count_labels({}) == 80


# ---------------------------------------------------------------- kill -9

WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(":")
from stores import DFT, block
from fw_nnp.services.launchpad import connect
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store
store = Store(MongoDocuments(connect(Path(sys.argv[1])).db))
print("ready", flush=True)
for seed in range(12):
    made = block(60, seed=seed, n_atoms=16)
    store.add_blocks([made], campaign="a", purpose="training", sampler="made")
    store.freeze_dataset("a", theories=[DFT.id], split={"train": made.label_ids})
    store.add_model(f"mdl-{seed}", bytes([seed]) * 600_000, {"campaign": "a", "stage": "train"})
"""


@pytest.mark.engines
def test_a_writer_killed_at_any_moment_leaves_no_half_record(mongo_store, launchpad_file):
    chance = random.Random(1)
    tests = str(Path(__file__).parents[1])
    argv = [sys.executable, "-c", WRITER, str(launchpad_file), f"{tests}:{Path.cwd()}"]
    killed = 0
    while killed < 4:
        writer = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.02, 0.6))
        os.kill(writer.pid, signal.SIGKILL)
        killed += writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        left = [p for p in check(mongo_store.documents).problems if "orphan" not in p]
        assert left == []
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    assert problems(mongo_store) == ""  # the same calls complete what was begun
    assert mongo_store.count_labels({}) == 12 * 60
    assert mongo_store.count_conflicts() == 0


@pytest.mark.engines
def test_two_writers_and_ten_readers_at_once(mongo_store):
    """Readers see whole records only, and never fewer than before; two writers of the same labels
    and versions make each of them once."""
    from concurrent.futures import ThreadPoolExecutor

    made = [block(50, seed=seed) for seed in range(6)]
    known = {id_ for b in made for id_ in b.label_ids}

    def write_all(i: int) -> int:
        new = mongo_store.add_blocks(made, campaign="a", purpose="training", sampler="made")
        for one in made if i else reversed(made):
            mongo_store.freeze_dataset("a", theories=[DFT.id], split={"train": one.label_ids})
        return new

    def read_all(_: int) -> int:
        seen = 0
        for _ in range(5):
            before, seen = seen, 0
            for version in mongo_store.versions("a"):
                train = mongo_store.dataset_part(version["_id"], "train")
                assert len(train) == version["counts"]["train"]
            for found in mongo_store.blocks({"campaign": "a"}):
                assert set(found.label_ids) <= known
                for c, t, id_ in zip(
                    found.configuration_ids, found.theory_ids, found.label_ids, strict=True
                ):
                    assert label_id(c, t) == id_
                seen += len(found)
            assert seen >= before
        return seen

    with ThreadPoolExecutor(12) as pool:
        writing = list(map(lambda i: pool.submit(write_all, i), range(2)))
        reading = list(map(lambda i: pool.submit(read_all, i), range(10)))
        assert sum(f.result() for f in writing) == 300
        assert all(f.result() >= 0 for f in reading)
    assert problems(mongo_store) == ""
    assert read_all(0) == 300
    assert [v["version"] for v in mongo_store.versions("a")] == [1, 2, 3, 4, 5, 6]
