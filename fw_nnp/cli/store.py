"""Looking after the store: ``fw-nnp store check|backup|restore|migrate|reader``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import LAUNCHPAD_FILE, AsJson, Launchpad, open_launchpad, out, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add these commands."""
    store = typer.Typer(help="Look after the dataset store.", no_args_is_help=True)
    for command in (check, backup, restore, migrate, reader):
        store.command()(command)
    app.add_typer(store, name="store", rich_help_panel="Server")


def check(json: AsJson = False, launchpad: Launchpad = LAUNCHPAD_FILE) -> None:
    """Recompute every id, follow every reference, name orphans and damage; exit code 1 if any.

    Example: `fw-nnp store check`
    """
    from fw_nnp.store.check import check as look

    _, store = open_launchpad(launchpad)
    health = look(store.documents)
    if json:
        print_json({"counts": health.counts, "problems": health.problems})
    else:
        print_table([{"collection": name, "records": n} for name, n in health.counts.items()])
        for problem in health.problems:
            out.print(problem, markup=False, soft_wrap=True)
        out.print(f"{len(health.problems)} problems")
    if health.problems:
        raise typer.Exit(1)


def backup(
    file: Annotated[Path, typer.Argument(help="Archive to write (.tar).")],
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Write the whole store, files included, to one checksummed archive of BSON.

    Example: `fw-nnp store backup store-2026-11-25.tar`
    """
    from fw_nnp.store.backup import backup as write

    _, store = open_launchpad(launchpad, any_schema=True)
    counts = write(store.documents, file)
    out.print(f"{sum(counts.values())} records written to {file}")


def restore(
    file: Annotated[Path, typer.Argument(help="Archive that `store backup` wrote.")],
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Put an archive into an empty database, verifying each piece before it is written.

    Example: `fw-nnp store restore store-2026-11-25.tar -l empty_launchpad.yaml`
    """
    from fw_nnp.store.backup import restore as read

    _, store = open_launchpad(launchpad, any_schema=True)
    counts = read(store.documents, file)
    out.print(f"{sum(counts.values())} records restored from {file}")


def migrate(launchpad: Launchpad = LAUNCHPAD_FILE) -> None:
    """Bring records of older versions to the present schema; back up first.

    Example: `fw-nnp store migrate`
    """
    from fw_nnp.store.migrate import migrate as upgrade

    _, store = open_launchpad(launchpad, any_schema=True)
    changed = upgrade(store.documents)
    out.print(", ".join(f"{n} {name}" for name, n in changed.items()) or "nothing to do")


def reader(
    name: Annotated[str, typer.Argument(help="MongoDB user to make.")],
    file: Annotated[Path, typer.Argument(help="Launchpad file to write for that user.")],
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Make a user who can query and export but not write, and a launchpad file for him or her.

    Example: `fw-nnp store reader guest guest_launchpad.yaml`
    """
    from fw_nnp.core.errors import SpecError
    from fw_nnp.services.launchpad import add_reader, write

    if file.exists():
        raise SpecError("the file exists", place=str(file), remedy="choose another name")
    write(file, add_reader(launchpad, name))
    out.print(f"{file} is for '{name}': it holds a password")
