"""Where a model comes from, and what a label has led to: walks over the records.

`trace` goes from a model down: training spec, dataset version, labels, configurations, sampler
run, potential file. `impact` goes from a label up: dataset versions, models, evaluations. Both
give a tree of plain JSON.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from fw_nnp.core.errors import NotFound
from fw_nnp.core.splits import PARTS

from .base import Document
from .store import Store

Node = dict[str, Any]
"""``{"kind", "id", "facts": {...}, "from" or "to": [nodes]}``"""


def trace(store: Store, key: str) -> Node:
    """The tree below a model, known by its id or as the newest of a campaign.

    Raises
    ------
    NotFound
        No such model, or a record that it needs is gone.
    """
    return _model(store, store.model(key))


def _model(store: Store, model: Document) -> Node:
    facts: Node = {
        k: model[k] for k in ("campaign", "stage", "seed", "created", "blob") if k in model
    }
    below = [_node("training spec", "", model.get("training", {}))]
    below += [
        _dataset(store, store.dataset(model[use])) for use in ("source", "replay") if model.get(use)
    ]
    if "parent" in model:
        below.append(_model(store, store.model(model["parent"])))
    return _node("model", model["_id"], facts, below)


def _dataset(store: Store, record: Document) -> Node:
    facts = {"name": record["name"], "counts": record["counts"], **record["recipe"]}
    labels: defaultdict[str, list[tuple[str, Document]]] = defaultdict(list)
    fields = ["theory", "configuration", "trajectory", "sampler", "campaign", "provenance"]
    for part, label in store.members(record["_id"], fields):
        labels[label["theory"]].append((part, label))
    below = [_labels(store, theory, found) for theory, found in sorted(labels.items())]
    return _node("dataset", record["_id"], facts, below)


def _labels(store: Store, theory_id: str, found: list[tuple[str, Document]]) -> Node:
    theory = store.theory(theory_id)
    counts = {name: sum(part == name for part, _ in found) for name in PARTS}
    facts = {
        "labels": len(found),
        **counts,
        "code": theory.code,
        "settings": dict(theory.settings),
        "corrected": sum(bool(label["provenance"].get("corrections")) for _, label in found),
    }
    runs: defaultdict[tuple[str, str], list[Document]] = defaultdict(list)
    for _, label in found:
        runs[label["sampler"], label["trajectory"]].append(label)
    samplings = _samplings(store, {c for _, label in found for c in label["campaign"]})
    below = [
        _run(store, sampler, trajectory, labels, samplings.get(trajectory))
        for (sampler, trajectory), labels in sorted(runs.items())
    ]
    return _node("level of theory", theory_id, facts, below)


def _run(
    store: Store,
    sampler: str,
    trajectory: str,
    labels: list[Document],
    sampling: Mapping[str, Any] | None,
) -> Node:
    facts: dict[str, Any] = {
        "sampler": sampler,
        "configurations": sorted({label["configuration"] for label in labels}),
        "labels": sorted(label["_id"] for label in labels),
    }
    below = []
    files = {label["provenance"].get("source", {}).get("file") for label in labels} - {None}
    below += [_node("file", str(name), {}) for name in sorted(files)]
    if sampling is not None:
        facts |= {"seed": sampling["run"]["seed"], "protocol": sampling["run"]["protocol"]}
        below.append(_potential(store, sampling))
    return _node("sampler run", trajectory, facts, below)


def _potential(store: Store, sampling: Mapping[str, Any]) -> Node:
    facts = {**sampling["run"]["potential"]}
    try:
        facts |= store.theory(sampling["potential"]).settings
    except NotFound:
        facts["missing"] = True
    return _node("potential", sampling["potential"], facts)


def _samplings(store: Store, campaigns: set[str]) -> dict[str, Mapping[str, Any]]:
    """Trajectory -> what the step that sampled it filed."""
    return {
        step["result"]["run_id"]: step["result"]
        for campaign in sorted(campaigns)
        for step in store.steps(campaign)
        if "run_id" in step["result"]
    }


def _node(kind: str, id_: str, facts: Mapping[str, Any], below: list[Node] | None = None) -> Node:
    return {"kind": kind, "id": id_, "facts": dict(facts), "from": below or []}


# ---------------------------------------------------------------- the other way


def impact(store: Store, label_id: str) -> Node:
    """The tree above a label: the dataset versions that hold it, the models trained on them.

    Raises
    ------
    NotFound
        No such label.
    """
    fields = ["configuration", "theory", "code", "formula", "phase", "campaign"]
    for label in store.label_documents({"_id": label_id}, fields=fields):
        facts = {name: label[name] for name in fields}
        return {
            "kind": "label",
            "id": label_id,
            "facts": facts,
            "to": [_use(store, part, record) for part, record in store.uses(label_id)],
        }
    raise NotFound("no such label", place=label_id, remedy="fw-nnp query lists label ids")


def _use(store: Store, part: str, record: Document) -> Node:
    return {
        "kind": "dataset",
        "id": record["_id"],
        "facts": {"name": record["name"], "part": part},
        "to": list(_models(store, {"source": record["_id"]})),
    }


def _models(store: Store, filter_: Mapping[str, str]) -> Iterator[Node]:
    for model in store.models(filter_):
        evaluated = store.evaluated(model["_id"])
        yield {
            "kind": "model",
            "id": model["_id"],
            "facts": {
                **{name: model[name] for name in ("campaign", "stage", "created")},
                **({"evaluation": evaluated} if evaluated else {}),
            },
            "to": list(_models(store, {"parent": model["_id"]})),
        }
