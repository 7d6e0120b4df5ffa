"""Model cards: what a model is, what it was trained on and how well it does, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .provenance import Node


def model_card(tree: Node, evaluation: Mapping[str, Any] | None) -> str:
    """The card of a traced model.

    Parameters
    ----------
    evaluation
        The evaluation of the model as plain JSON, where there is one.
    """
    facts = tree["facts"]
    lines = [
        f"# {facts.get('campaign', '')} / {facts.get('stage', '')}",
        "",
        f"Model `{tree['id']}`, file sha256 `{facts.get('blob', '')}`, made {facts['created']}.",
        "",
        "## Training",
        "",
        *_training(tree),
        "## Data",
        "",
        *_data(tree),
    ]
    if evaluation:
        lines += ["## Errors", "", *_errors(evaluation)]
    return "\n".join(lines).rstrip() + "\n"


def _training(tree: Node) -> Iterator[str]:
    for node in _line(tree):
        spec = next(child for child in node["from"] if child["kind"] == "training spec")
        yield f"### {node['facts'].get('stage', '')} (`{node['id']}`, seed {_seed(node)})"
        yield ""
        yield from _table({key: str(value) for key, value in spec["facts"].items()})
        yield ""


def _seed(node: Node) -> str:
    return str(node["facts"].get("seed", "unknown"))


def _line(tree: Node) -> Iterator[Node]:
    """The model and its ancestors, oldest first."""
    for child in tree["from"]:
        if child["kind"] == "model":
            yield from _line(child)
    yield tree


def _data(tree: Node) -> Iterator[str]:
    for node in _line(tree):
        for dataset in (child for child in node["from"] if child["kind"] == "dataset"):
            counts = ", ".join(f"{n} {part}" for part, n in dataset["facts"]["counts"].items())
            name, stage = dataset["facts"]["name"], node["facts"].get("stage", "")
            yield f"### {name}, for {stage} (`{dataset['id']}`)"
            yield ""
            yield f"{counts}. Query: `{dataset['facts'].get('query', 'unknown')}`."
            yield ""
            for theory in dataset["from"]:
                yield from _theory(theory)


def _theory(node: Node) -> Iterator[str]:
    facts = node["facts"]
    yield (
        f"{facts['labels']} labels by {facts['code']} (`{node['id']}`), {facts['corrected']} "
        f"of them after corrections, from {len(node['from'])} sampler runs."
    )
    yield ""
    yield from _table({key: str(value) for key, value in facts["settings"].items()})
    yield ""
    potentials = {
        (below["id"], str(below["facts"].get("style", "")), str(below["facts"].get("file", "")))
        for run in node["from"]
        for below in run["from"]
        if below["kind"] == "potential"
    }
    for id_, style, file in sorted(potentials):
        yield f"Sampled with {style} {file} (`{id_}`).".replace("  ", " ")
        yield ""


def _errors(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """On the test set, by phase."""
    errors = evaluation["test_errors"]["potential"]
    rows = {"all": errors["overall"], **errors["by_phase"]}
    quantities = [key for key, value in errors["overall"].items() if isinstance(value, Mapping)]
    yield "| phase | configurations | " + " | ".join(f"RMSE {q}" for q in quantities) + " |"
    yield "| --- | --- |" + " --- |" * len(quantities)
    for phase, scores in rows.items():
        numbers = [f"{(scores.get(q) or {}).get('rmse', float('nan')):.4g}" for q in quantities]
        yield f"| {phase} | {scores['configurations']} | " + " | ".join(numbers) + " |"


def _table(rows: Mapping[str, str]) -> Iterator[str]:
    if rows:
        yield "| | |"
        yield "| --- | --- |"
        for key, value in rows.items():
            yield f"| {key} | {value.replace('|', chr(92) + '|')} |"
