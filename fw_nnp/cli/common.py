"""What the commands share: the launchpad option, tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from fireworks import LaunchPad

    from fw_nnp.store.store import Store

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Launchpad = Annotated[
    Path,
    typer.Option(
        "--launchpad", "-l", help="The file that lpad reads, too.", show_default="my_launchpad.yaml"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
LAUNCHPAD_FILE = Path("my_launchpad.yaml")


def open_launchpad(path: Path, *, any_schema: bool = False) -> tuple[LaunchPad, Store]:
    """FireWorks' launchpad and the store beside it.

    Raises
    ------
    StoreError
        The records are of an older schema, unless `any_schema` is welcome.
    """
    from fw_nnp.core.errors import StoreError
    from fw_nnp.services.launchpad import connect
    from fw_nnp.store.migrate import outdated
    from fw_nnp.store.mongo import MongoDocuments
    from fw_nnp.store.store import Store

    launchpad = connect(path)
    store = Store(MongoDocuments(launchpad.db))
    if not any_schema and outdated(store.documents):
        raise StoreError(
            "the store has records of an older version of fw_nnp",
            place=str(path),
            remedy="fw-nnp store backup FILE, then fw-nnp store migrate",
        )
    return launchpad, store


def print_json(value: Any) -> None:
    """Plain JSON on stdout; times as ISO 8601."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Rows as a table; numbers to the right."""
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    columns = list(rows[0]) if rows else []
    for column in columns:
        numeric = all(isinstance(row[column], (int, float)) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*[_text(row[column]) for column in columns])
    out.print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
