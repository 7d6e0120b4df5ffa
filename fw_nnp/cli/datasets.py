"""Datasets and where things come from: ``fw-nnp dataset ...``, trace and impact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .common import LAUNCHPAD_FILE, AsJson, Launchpad, open_launchpad, out, print_json, print_table

Version = Annotated[
    str, typer.Argument(help="Dataset version: its id, name, or the newest of a series.")
]

RULE = ("trajectory",)
FRACTIONS = (0.8, 0.1, 0.1)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    dataset = typer.Typer(help="Immutable, versioned sets of labels.", no_args_is_help=True)
    dataset.command("create")(create)
    dataset.command("list")(list_)
    dataset.command("show")(show)
    dataset.command("diff")(diff)
    app.add_typer(dataset, name="dataset", rich_help_panel="Data")
    app.command(rich_help_panel="Data")(trace)
    app.command(rich_help_panel="Data")(impact)


def create(
    name: Annotated[str, typer.Argument(help="Series; versions are NAME-v1, NAME-v2 ...")],
    text: Annotated[
        str, typer.Option("--query", help="Which labels; default: as in the version before.")
    ] = "",
    split: Annotated[
        str,
        typer.Option(
            help="What stays in one part: trajectory, near_duplicates, random.",
            show_default="as in the version before, else by=trajectory",
        ),
    ] = "",
    fractions: Annotated[
        str,
        typer.Option(
            help="Train, validation, test.",
            show_default="as in the version before, else 0.8,0.1,0.1",
        ),
    ] = "",
    seed: Annotated[
        int | None,
        typer.Option(help="Of the split.", show_default="as in the version before, else 1"),
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Allow more than one level of theory.")
    ] = False,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Freeze labels and their split as the next version; nothing new makes no version.

    Known labels keep their part. Without options it takes late labels in, as the version before
    was made: `fw-nnp dataset create al`.

    Example: `fw-nnp dataset create al --query "Al code=espresso" --split by=trajectory`
    """
    from fw_nnp.core.errors import SpecError
    from fw_nnp.store.query import parse_query

    _, store = open_launchpad(launchpad)
    before = store.versions(name)
    if not text and not before:
        raise SpecError("which labels?", place=f"dataset {name}", remedy="give --query")
    recipe = before[-1]["recipe"] if before else {}
    asked = text or recipe.get("query", "")
    id_ = store.create_dataset(
        name,
        parse_query(asked),
        query=asked,
        split_by=split.removeprefix("by=").split(",") if split else recipe.get("split_by", RULE),
        fractions=_fractions(fractions) if fractions else recipe.get("fractions", FRACTIONS),
        seed=recipe.get("seed", 1) if seed is None else seed,
        mixed=mixed or len(before[-1]["theories"] if before and not text else []) > 1,
    )
    record = store.dataset(id_)
    if json:
        print_json(_row(record))
        return
    old = any(version["_id"] == id_ for version in before)
    counts = ", ".join(f"{n} {part}" for part, n in record["counts"].items())
    out.print(f"{record['name']}{' is up to date' if old else ''}: {counts} ({id_})")


def _fractions(text: str) -> list[float]:
    from fw_nnp.core.errors import SpecError

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or abs(sum(numbers) - 1.0) > 1e-6 or min(numbers) < 0.0:
        raise SpecError(
            f"'{text}' are not three fractions that add up to 1",
            place="--fractions",
            remedy="write them like 0.8,0.1,0.1",
        )
    return numbers


def _row(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": record["name"],
        **record["counts"],
        "theories": record["theories"],
        "created": record["created"],
        "id": record["_id"],
    }


def list_(json: AsJson = False, launchpad: Launchpad = LAUNCHPAD_FILE) -> None:
    """All versions of all datasets, oldest first.

    Example: `fw-nnp dataset list`
    """
    _, store = open_launchpad(launchpad)
    rows = [_row(record) for record in store.datasets()]
    if json:
        print_json(rows)
        return
    shown = [{key: value for key, value in row.items() if key != "theories"} for row in rows]
    print_table(shown, title=f"{len(rows)} {'version' if len(rows) == 1 else 'versions'}")


def show(
    version: Version,
    leakage: Annotated[
        bool, typer.Option("--leakage/--no-leakage", help="Compare test and training cells.")
    ] = True,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """What is in a version: counts, ranges, levels of theory, and how near test is to training.

    Example: `fw-nnp dataset show al-quickstart-v1`
    """
    from fw_nnp.store.contents import contents
    from fw_nnp.store.contents import leakage as leakage_report

    _, store = open_launchpad(launchpad)
    shown = contents(store, version)
    if leakage:
        shown["leakage"] = leakage_report(store, version)
    if json:
        print_json(shown)
        return
    out.print(f"{shown['dataset']['name']}  {shown['dataset']['id']}")
    for field, found in shown["counts"].items():
        print_table([{field: name or "(none)", **counts} for name, counts in found.items()])
    print_table([{"field": field, **values} for field, values in shown["ranges"].items()])
    for id_, theory in shown["theories"].items():
        settings = ", ".join(f"{key}={value}" for key, value in theory["settings"].items())
        out.print(f"{id_}: {theory['code']}, {settings}", markup=False, soft_wrap=True)
    if leakage:
        _print_leakage(shown["leakage"])


def _print_leakage(report: dict[str, Any]) -> None:
    rows = [
        {"nearest training neighbour of": who, **report[key]}
        for who, key in (("test cells", "distance"), ("training cells", "training_distance"))
        if report[key]
    ]
    if rows:
        print_table(rows, title="distances in descriptor space, Å")
    out.print(
        f"{report['near_duplicates']} of {report['cells']} test cells are near-duplicates of "
        f"training cells (below {report['near']} Å); {report['without_neighbour']} have no "
        "training cell of the same elements"
    )


def diff(
    first: Version,
    second: Version,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """What changed from one version to another.

    Example: `fw-nnp dataset diff al-v1 al-v2`
    """
    _, store = open_launchpad(launchpad)
    found = store.diff(first, second)
    if json:
        print_json(found)
        return
    rows = [
        {"part": part, "added": len(found["added"][part]), "removed": len(found["removed"][part])}
        for part in found["added"]
    ]
    print_table(rows, title=f"{first} -> {second}")
    out.print(f"{found['kept']} labels kept their part, {len(found['moved'])} changed it")


# ---------------------------------------------------------------- provenance


def trace(
    model: Annotated[str, typer.Argument(help="Model id, or a campaign for its newest model.")],
    card: Annotated[
        Path | None, typer.Option(help="Write a model card (Markdown) to this file.")
    ] = None,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Where a model comes from: training, dataset, labels, sampler runs, potential files.

    Example: `fw-nnp trace al-quickstart --card al.md`
    """
    from fw_nnp.store.card import model_card
    from fw_nnp.store.provenance import trace as walk

    _, store = open_launchpad(launchpad)
    tree = walk(store, model)
    if card is not None:
        campaign = store.evaluated(tree["id"])
        card.write_text(model_card(tree, store.evaluation(campaign) if campaign else None))
    print_json(tree) if json else _print_tree(tree)


def impact(
    label: Annotated[str, typer.Argument(help="Label id, `lbl-...`.")],
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """What a label has led to: dataset versions, models, evaluations.

    Example: `fw-nnp impact lbl-0123456789abcdef0123456789abcdef`
    """
    from fw_nnp.store.provenance import impact as walk

    _, store = open_launchpad(launchpad)
    tree = walk(store, label)
    print_json(tree) if json else _print_tree(tree)


def _print_tree(node: dict[str, Any]) -> None:
    from rich.tree import Tree

    def grow(parent: Tree, node: dict[str, Any]) -> None:
        for child in [*node.get("from", ()), *node.get("to", ())]:
            grow(parent.add(_words(child)), child)

    root = Tree(_words(node))
    grow(root, node)
    out.print(root)


def _words(node: dict[str, Any]) -> str:
    """One line for a node: long lists as their length, nothing of what is empty."""
    from rich.markup import escape

    facts = ", ".join(
        f"{key} {_fact(value)}" for key, value in node["facts"].items() if value not in ("", [], {})
    )
    return f"[bold]{node['kind']}[/bold] {escape(node['id'])}  {escape(facts)}"


def _fact(value: Any) -> str:
    if isinstance(value, list):
        return str(len(value)) if len(value) > 4 else " ".join(map(str, value))
    return str(value)
