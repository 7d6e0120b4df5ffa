"""How fast the store is, beside ASE's database and extended XYZ, on this machine and these data.

``python benchmarks/store_speed.py --configurations 10000 --json``

Up to 200,000 configurations have 64 atoms; more have 4 and are there for the indexes. Private
MongoDB servers are started in a temporary folder, one to compare inserts on, one to read from,
and everything is measured in rounds, one after the other, so that other work on the machine slows
all alike; medians are printed. More than 200,000 are inserted once.

- ``insert_per_s``: blocks of arrays checked, hashed and written, journalled; configurations
  and labels, with validators and all indexes
- ``bare_insert_per_s``: the same arrays by pymongo's ``insert_many`` alone, a document for each
  configuration, nothing checked or hashed, without validators and indexes: what this server
  takes on this machine
- ``stream_per_s``: from a filtered query to torch tensors
- ``ase_db_read_per_s``, ``extxyz_read_per_s``: ASE's rows to Atoms, ASE's reader
  of the export of the same labels (2,000 of them: both are linear)
- ``cache_per_s``: from the packed file to torch tensors, copied
- ``count_ms``: the count of a query over elements, phase, force, code and campaign, after seconds
  of reading other data; ``repeated_count_ms``: the same, asked again and again
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.db import connect as connect_ase
from ase.io import iread
from pymongo import MongoClient, WriteConcern

from fw_nnp.core.blocks import Block
from fw_nnp.core.packed import Packed
from fw_nnp.core.records import LabelledConfiguration, LevelOfTheory
from fw_nnp.exchange import write_labelled
from fw_nnp.services import mongod
from fw_nnp.store.cache import packed_query
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.query import parse_query
from fw_nnp.store.store import Store

THEORY = LevelOfTheory(code="espresso", settings={"benchmark": "store_speed"})
LARGEST_OF_64 = 200_000
BLOCK = 2_000
BARE_BATCH = 500  # documents of a bare insert_many; larger ones are no faster
COMPARED = 2_000  # configurations that ASE's readers are timed with
ROUNDS = 3
REPEATED = 5  # counts in each round, after the first
PHASES = ("solid", "interface", "liquid")
QUESTION = "elements=Al phase=liquid max_force<5 code=espresso campaign=al-1"


def blocks(n: int, n_atoms: int) -> Iterator[Block]:
    """`n` random cells; cheap to make, so that making them is not what is timed."""
    rng = np.random.default_rng(0)
    size = min(BLOCK, n)
    positions = rng.uniform(0, 10, (size, n_atoms, 3))
    forces = rng.normal(size=(size, n_atoms, 3)) * rng.uniform(0.5, 20, (size, 1, 1))
    stress = rng.normal(scale=0.05, size=(size, 3, 3))
    cells = 10 * np.eye(3) + rng.normal(scale=0.1, size=(size, 3, 3))
    for start in range(0, n, size):
        count = min(size, n - start)
        rows = slice(0, count)
        shift = 1e-3 * (start // size + 1)
        yield Block.of_arrays(
            theory_id=THEORY.id,
            numbers=13 if (start // size) % 4 else 28,
            cells=cells[rows],
            positions=positions[rows] + shift,
            energies=rng.normal(-3.0 * n_atoms, 1.0, count),
            forces=forces[rows] * (1 + shift),
            stress=stress[rows] + stress[rows].transpose(0, 2, 1),
            trajectories=[f"trj-{start // size}"] * count,
            phases=[PHASES[(i + start) % 3] for i in range(count)],
        )


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def atoms_of(n: int) -> int:
    """Atoms of each of `n` configurations."""
    return 64 if n <= LARGEST_OF_64 else 4


def documents(blocks: Iterator[Block]) -> Iterator[list[dict[str, Any]]]:
    """The arrays of every configuration as one document, in batches."""
    for block in blocks:
        for start in range(0, len(block), BARE_BATCH):
            yield [
                {
                    "energy": float(block.energies[i]),
                    "numbers": block.numbers[i].tobytes(),
                    "cell": block.cells[i].tobytes(),
                    "positions": block.positions[i].tobytes(),
                    "forces": block.forces[i].tobytes(),
                    "stress": block.stress[i].tobytes(),
                }
                for i in range(start, min(start + BARE_BATCH, len(block)))
            ]


def bare_insert(client: MongoClient, n: int) -> float:
    """Seconds of pymongo alone, as safe as the store's; the database is dropped again."""
    database = client.get_database("bare", write_concern=WriteConcern("majority", j=True))

    def write() -> None:
        for batch in documents(blocks(n, atoms_of(n))):
            database["labels"].insert_many(batch, ordered=False)

    taken = seconds(write)
    client.drop_database("bare")
    return taken


def insert(client: MongoClient, name: str, n: int) -> tuple[Store, float]:
    """A new store with `n` labels, and the seconds that took."""
    store = Store(MongoDocuments(client[name]))
    store.prepare()
    store.add_theory(THEORY)
    made = blocks(n, atoms_of(n))
    taken = seconds(
        lambda: store.add_blocks(made, campaign="al-1", purpose="training", sampler="benchmark")
    )
    return store, taken


def stream(store: Store) -> int:
    """Every label of the campaign as torch tensors; returns their number."""
    n = 0
    for block in store.blocks({"campaign": "al-1"}):
        for array in (block.positions, block.cells, block.forces, block.stress, block.energies):
            torch.from_numpy(array)
        n += len(block)
    return n


def read_cache(cache: Packed) -> None:
    """All rows of the packed file as tensors of 1,000 configurations, copied."""
    columns = cache.columns()
    offsets = columns["offsets"]
    for start in range(0, len(cache), 1_000):
        rows = slice(start, min(start + 1_000, len(cache)))
        atoms = slice(int(offsets[rows.start]), int(offsets[rows.stop]))
        for name in ("energies", "cells", "stress"):
            torch.from_numpy(columns[name][rows].copy())
        for name in ("positions", "forces"):
            torch.from_numpy(columns[name][atoms].copy())


def read_ase_db(path: Path) -> None:
    for row in connect_ase(path, type="db").select():
        row.toatoms().get_forces()


def read_extxyz(path: Path) -> None:
    for atoms in iread(path, ":", format="extxyz"):
        atoms.get_forces()


def some(store: Store) -> list[LabelledConfiguration]:
    found = (block.row(i) for block in store.blocks({}) for i in range(len(block)))
    return [item for item, _ in zip(found, range(COMPARED), strict=False)]


@contextmanager
def server(folder: Path) -> Iterator[MongoClient]:
    """A private MongoDB server in `folder`, for as long as it is used."""
    folder.mkdir()
    started = mongod.start(folder)
    try:
        yield MongoClient(
            started.host, started.port, username=started.username, password=started.password
        )
    finally:
        mongod.stop(folder)


def compare_inserts(folder: Path, n: int) -> tuple[float, float]:
    """Seconds of the store and of pymongo alone, in turn."""
    ours, bare = [], []
    with server(folder) as client:
        for i in range(ROUNDS if n <= LARGEST_OF_64 else 1):
            bare.append(bare_insert(client, n))
            ours.append(insert(client, f"store_{i}", n)[1])
            client.drop_database(f"store_{i}")
    return statistics.median(ours), statistics.median(bare)


def measure(n: int, folder: Path) -> dict[str, float]:
    """All figures for `n` configurations."""
    ours, bare = compare_inserts(folder / "inserts", n)
    with server(folder / "reads") as client:  # with nothing to tidy up from the inserts
        store, _ = insert(client, "store", n)
        read = measure_reads(store, n, folder)
    return {"insert_per_s": n / ours, "bare_insert_per_s": n / bare, **read}


def measure_reads(store: Store, n: int, folder: Path) -> dict[str, float]:
    """What is read from a store of `n` labels, from its cache, and by ASE from its export."""
    items = some(store)
    for name in ("ase.db", "ase.extxyz"):
        write_labelled(folder / name, items)
    cache = packed_query(store, {"campaign": "al-1"}, folder / "cache")
    filter_ = parse_query(QUESTION)
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, work in {
            "stream": lambda: stream(store),
            "ase": lambda: read_ase_db(folder / "ase.db"),
            "extxyz": lambda: read_extxyz(folder / "ase.extxyz"),
            "cache": lambda: read_cache(cache),
            "count": lambda: store.count_labels(filter_),
        }.items():
            times.setdefault(name, []).append(seconds(work))
        for _ in range(REPEATED):
            times.setdefault("repeated_count", []).append(
                seconds(lambda: store.count_labels(filter_))
            )
    middle = {name: statistics.median(values) for name, values in times.items()}
    return {
        "stream_per_s": n / middle["stream"],
        "ase_db_read_per_s": len(items) / middle["ase"],
        "extxyz_read_per_s": len(items) / middle["extxyz"],
        "cache_per_s": n / middle["cache"],
        "count_ms": 1e3 * middle["count"],
        "repeated_count_ms": 1e3 * middle["repeated_count"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(arguments.configurations, Path(name))
    if arguments.json:
        print(json.dumps(figures))
        return
    for key, value in figures.items():
        print(f"{key:>18} {value:12,.1f}")
    ratio = figures["insert_per_s"] / figures["bare_insert_per_s"]
    print(f"insert / bare      {ratio:12.2f} (20,000 / 43,800 where the goal was set: 0.46)")
    ratio = figures["stream_per_s"] / figures["ase_db_read_per_s"]
    print(f"stream / ase.db    {ratio:12.1f} (goal 20)")
    ratio = figures["stream_per_s"] / figures["extxyz_read_per_s"]
    print(f"stream / extxyz    {ratio:12.1f} (goal 25)")


if __name__ == "__main__":
    main()
