"""The dataset store: query and export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from .common import LAUNCHPAD_FILE, AsJson, Launchpad, open_launchpad, out, print_json, print_table

SHOWN = ("formula", "phase", "energy_per_atom", "max_force", "pressure", "code", "campaign")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (query, export):
        app.command(rich_help_panel="Data")(command)


def query(
    text: Annotated[str, typer.Argument(help="Conditions, or a MongoDB filter in JSON.")] = "",
    count: Annotated[bool, typer.Option("--count", help="Only count.")] = False,
    fields: Annotated[str, typer.Option(help="Comma separated.")] = ",".join(SHOWN),
    limit: Annotated[int, typer.Option(help="Most rows to print; 0: all.", min=0)] = 20,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Find labels.

    Example: `fw-nnp query "Al code=espresso phase=liquid max_force<5" --count`
    """
    from itertools import islice

    from fw_nnp.store.query import parse_query

    filter_ = parse_query(text)
    names = _known(fields.split(","))
    _, store = open_launchpad(launchpad)
    total = store.count_labels(filter_)
    if count:
        print_json({"count": total}) if json else out.print(total)
        return
    found = store.label_documents(filter_, fields=names)
    rows: list[dict[str, Any]] = [
        {"label": d["_id"], **{name: d.get(name, "") for name in names}}
        for d in islice(found, limit or None)
    ]
    if json:
        print_json(rows)
    else:
        print_table(rows, title=f"{total} labels" + (f", first {limit}" if limit < total else ""))


def _known(names: list[str]) -> list[str]:
    from fw_nnp.core.errors import SpecError
    from fw_nnp.core.registry import did_you_mean
    from fw_nnp.store.schema import FIELDS

    for name in names:
        if name not in FIELDS:
            raise SpecError(
                f"no field '{name}'{did_you_mean(name, list(FIELDS))}",
                place="--fields",
                remedy=f"fields: {', '.join(FIELDS)}",
            )
    return names


def export(
    file: Annotated[Path, typer.Argument(help="File to write; its suffix names the format.")],
    dataset: Annotated[
        str, typer.Option(help="Dataset version: its id, name, or a campaign.")
    ] = "",
    part: Annotated[str, typer.Option(help="train, validation or test; default: all.")] = "",
    text: Annotated[str, typer.Option("--query", help="Labels by query instead.")] = "",
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Write labels to a file that other programs read (.extxyz, .h5, .db).

    Example: `fw-nnp export al.extxyz --dataset al-quickstart-v1 --part test`
    """
    from fw_nnp.core.errors import SpecError
    from fw_nnp.core.records import LabelledConfiguration
    from fw_nnp.core.splits import PARTS
    from fw_nnp.exchange import write_labelled
    from fw_nnp.store.query import parse_query

    if bool(dataset) == bool(text):
        raise SpecError("give either --dataset or --query", place="fw-nnp export")
    if part and part not in PARTS:
        raise SpecError(f"no part '{part}'", place="--part", remedy=f"one of {', '.join(PARTS)}")
    _, store = open_launchpad(launchpad)

    def items() -> Iterator[LabelledConfiguration]:
        if text:
            yield from store.labelled(parse_query(text))
            return
        version = store.dataset(dataset)["_id"]
        for name in [part] if part else PARTS:
            yield from store.dataset_part(version, name)

    n = write_labelled(file, items())
    out.print(f"{n} labels written to {file}")
