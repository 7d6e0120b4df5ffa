"""What is in a dataset version: counts, ranges, levels of theory, and how near the parts are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from fw_nnp.core.near_duplicates import NEAR, fingerprint
from fw_nnp.core.records import Configuration, FloatArray
from fw_nnp.core.splits import PARTS

from .base import Document
from .datasets import Datasets

COUNTED = ("phase", "system", "sampler", "theory")
RANGED = ("n_atoms", "volume_per_atom", "energy_per_atom", "max_force", "pressure")
MOST_COMPARED = 20_000  # cells of a part in the leakage report; beyond, an even choice of them


def contents(store: Datasets, key: str) -> dict[str, Any]:
    """Counts by phase, elements, sampler and level of theory per part, and ranges, as JSON."""
    record = store.dataset(key)
    counts: dict[str, dict[str, Counter[str]]] = {f: defaultdict(Counter) for f in COUNTED}
    values: dict[str, list[float]] = {field: [] for field in RANGED}
    for part, label in store.members(record["_id"], [*COUNTED, *RANGED]):
        for field in COUNTED:
            counts[field][str(label[field])][part] += 1
        for field in RANGED:
            if field in label:
                values[field].append(label[field])
    return {
        "dataset": _described(record),
        "counts": {
            field: {name: _by_part(parts) for name, parts in sorted(found.items())}
            for field, found in counts.items()
        },
        "ranges": {field: _range(numbers) for field, numbers in values.items() if numbers},
        "theories": {
            id_: {"code": theory.code, "settings": dict(theory.settings)}
            for id_, theory in ((i, store.theory(i)) for i in record["theories"])
        },
    }


def _described(record: Document) -> dict[str, Any]:
    shown = ("series", "version", "name", "theories", "counts", "recipe", "parent", "created")
    return {"id": record["_id"], **{key: record[key] for key in shown if key in record}}


def _by_part(parts: Mapping[str, int]) -> dict[str, int]:
    return {part: parts.get(part, 0) for part in PARTS}


def _range(numbers: Sequence[float]) -> dict[str, float]:
    return {
        "least": float(np.min(numbers)),
        "median": float(np.median(numbers)),
        "greatest": float(np.max(numbers)),
    }


def leakage(store: Datasets, key: str, part: str = "test") -> dict[str, Any]:
    """How near each cell of `part` is to the training set, in descriptor space.

    The descriptor is that of `near_duplicates`: sorted distances to neighbours; the distance of
    two cells is the root mean square difference in Å. For comparison the same is told of the
    training cells among themselves: test cells that are much nearer to training cells than
    these are to each other make test errors look too good.
    """
    id_ = store.dataset(key)["_id"]
    train, test = (_chosen(store, id_, name) for name in ("train", part))
    distance, neighbour = nearest(test, train)
    among, _ = nearest(train, train, itself=True)
    order = np.argsort(distance)
    return {
        "part": part,
        "near": NEAR,
        "cells": len(test),
        "near_duplicates": int((distance < NEAR).sum()),
        "without_neighbour": int(np.isinf(distance).sum()),
        "distance": _finite_range(distance),
        "training_distance": _finite_range(among),
        "nearest": [
            {
                "configuration": test[i].id,
                "training": train[neighbour[i]].id,
                "distance": float(distance[i]),
            }
            for i in order[:10]
            if np.isfinite(distance[i])
        ],
    }


def _finite_range(distances: FloatArray) -> dict[str, float]:
    finite = distances[np.isfinite(distances)]
    return _range(finite.tolist()) if len(finite) else {}


def _chosen(store: Datasets, dataset_id: str, part: str) -> list[Configuration]:
    ids = store.member_ids(dataset_id, part)
    step = max(1, -(-len(ids) // MOST_COMPARED))
    return [item.configuration for item in store.labelled_of(ids[::step])]


def nearest(
    cells: Sequence[Configuration], others: Sequence[Configuration], *, itself: bool = False
) -> tuple[FloatArray, np.ndarray[Any, np.dtype[np.int64]]]:
    """(B,) Å to the nearest of `others` of the same elements, and (B,) its number.

    Parameters
    ----------
    itself
        `cells` and `others` are one list, and a cell is not its own neighbour.

    Returns
    -------
    tuple
        Infinity and 0 where no other has the same elements.
    """
    distance = np.full(len(cells), np.inf)
    neighbour = np.zeros(len(cells), dtype=np.int64)
    there = _by_elements(others)
    for elements, mine in _by_elements(cells).items():
        known = there.get(elements, [])
        rank = 2 if itself else 1
        if len(known) < rank:
            continue
        tree = cKDTree(np.array([fingerprint(others[i]) for i in known]))
        points = np.array([fingerprint(cells[i]) for i in mine])
        found, number = tree.query(points, k=[rank])
        distance[mine] = found[:, 0] / np.sqrt(points.shape[1])
        neighbour[mine] = np.array(known)[number[:, 0]]
    return distance, neighbour


def _by_elements(cells: Iterable[Configuration]) -> dict[tuple[str, ...], list[int]]:
    groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, cell in enumerate(cells):
        groups[tuple(cell.elements)].append(i)
    return dict(groups)
