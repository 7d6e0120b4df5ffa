"""The dataset store: query, import and export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from .common import (
    LAUNCHPAD_FILE,
    AsJson,
    Launchpad,
    err,
    open_launchpad,
    out,
    print_json,
    print_table,
)

SHOWN = ("formula", "phase", "energy_per_atom", "max_force", "pressure", "code", "campaign")
AsOptimade = Annotated[
    bool, typer.Option("--optimade", help="Read the conditions as an OPTIMADE filter.")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (query, export):
        app.command(rich_help_panel="Data")(command)
    app.command("import", rich_help_panel="Data")(import_)


def query(
    text: Annotated[str, typer.Argument(help="Conditions, or a MongoDB filter in JSON.")] = "",
    count: Annotated[bool, typer.Option("--count", help="Only count.")] = False,
    histogram: Annotated[str, typer.Option(help="Draw the distribution of this field.")] = "",
    fields: Annotated[str, typer.Option(help="Comma separated.")] = ",".join(SHOWN),
    limit: Annotated[int, typer.Option(help="Most rows to print; 0: all.", min=0)] = 20,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma separated values.")] = False,
    json: AsJson = False,
    optimade: AsOptimade = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Find labels.

    Example: `fw-nnp query "Al code=espresso phase=liquid max_force<5" --count`
    """
    from itertools import islice

    filter_ = _filter(text, optimade)
    names = _known(fields.split(","), "--fields")
    if histogram:
        _known([histogram], "--histogram")
    _, store = open_launchpad(launchpad)
    if histogram:
        _draw(store.values(filter_, histogram), histogram, as_json=json)
        return
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
    elif csv:
        _print_csv(["label", *names], rows)
    else:
        print_table(rows, title=f"{total} labels" + (f", first {limit}" if limit < total else ""))


def _filter(text: str, optimade: bool) -> dict[str, Any]:
    from fw_nnp.store.optimade import parse_optimade
    from fw_nnp.store.query import parse_query

    return parse_optimade(text) if optimade else parse_query(text)


def _draw(values: Iterator[Any], field: str, *, as_json: bool) -> None:
    from fw_nnp.store.schema import FIELDS

    from .histogram import bars, histogram

    rows = histogram(values)
    if as_json:
        print_json([{"bin": name, "count": n} for name, n in rows])
    else:
        out.print(bars(rows, FIELDS[field].unit), markup=False)


def _print_csv(names: list[str], rows: list[dict[str, Any]]) -> None:
    import csv
    import sys

    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        lists = {k: " ".join(map(str, v)) for k, v in row.items() if isinstance(v, list)}
        writer.writerow({**row, **lists})


def _known(names: list[str], place: str) -> list[str]:
    from fw_nnp.core.errors import SpecError
    from fw_nnp.core.registry import did_you_mean
    from fw_nnp.store.schema import FIELDS

    for name in names:
        if name not in FIELDS:
            raise SpecError(
                f"no field '{name}'{did_you_mean(name, list(FIELDS))}",
                place=place,
                remedy=f"fields: {', '.join(FIELDS)}",
            )
    return names


def export(
    file: Annotated[Path, typer.Argument(help="File to write; its suffix names the format.")],
    dataset: Annotated[
        str, typer.Option(help="Dataset version: its id, name, or the newest of a series.")
    ] = "",
    part: Annotated[str, typer.Option(help="train, validation or test; default: all.")] = "",
    text: Annotated[str, typer.Option("--query", help="Labels by query instead.")] = "",
    format: Annotated[
        str,
        typer.Option(help="extxyz, mace, hdf5, ase-db, deepmd, mlearn, pymatgen; default: suffix."),
    ] = "",
    optimade: AsOptimade = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Write labels to a file that other programs read (.extxyz, .h5, .db, .deepmd, .json).

    Example: `fw-nnp export al.extxyz --dataset al-quickstart-v1 --part test`
    """
    from fw_nnp.core.errors import SpecError
    from fw_nnp.core.records import LabelledConfiguration
    from fw_nnp.core.splits import PARTS
    from fw_nnp.exchange import write_labelled

    if bool(dataset) == bool(text):
        raise SpecError("give either --dataset or --query", place="fw-nnp export")
    if part and part not in PARTS:
        raise SpecError(f"no part '{part}'", place="--part", remedy=f"one of {', '.join(PARTS)}")
    filter_ = _filter(text, optimade) if text else {}
    _, store = open_launchpad(launchpad)

    def items() -> Iterator[LabelledConfiguration]:
        if text:
            for block in store.blocks(filter_):
                yield from map(block.row, range(len(block)))
            return
        version = store.dataset(dataset)["_id"]
        for name in [part] if part else PARTS:
            yield from store.dataset_part(version, name)

    n = write_labelled(file, items(), format)
    out.print(f"{n} labels written to {file}")


def import_(
    path: Annotated[
        Path,
        typer.Argument(
            help="A data file, a DeePMD folder, or VASP or pw.x calculations: a folder, an output."
        ),
    ],
    campaign: Annotated[str, typer.Option(help="Name under which the labels are found again.")],
    description: Annotated[
        Path | None, typer.Option(help="YAML that says units and signs of the file.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="pool, training or reference.")] = "training",
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Take labels of others into the store; twice changes nothing.

    Example: `fw-nnp import cu.extxyz --campaign literature`
    """
    from fw_nnp.core.errors import FwNnpError, SpecError
    from fw_nnp.workflows.imports import import_path

    if purpose not in ("pool", "training", "reference"):
        raise SpecError(
            f"no purpose '{purpose}'", place="--purpose", remedy="pool, training or reference"
        )
    _, store = open_launchpad(launchpad)

    def left_out(error: FwNnpError) -> None:
        err.print(f"left out: {error}", markup=False, soft_wrap=True)

    done = import_path(
        store, path, campaign=campaign, purpose=purpose, description=description, left_out=left_out
    )
    levels = "one level" if done.theories == 1 else f"{done.theories} levels"
    out.print(f"{done.labels} labels read, {done.new} of them new, at {levels} of theory")
