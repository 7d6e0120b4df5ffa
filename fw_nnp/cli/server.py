"""This machine: doctor, init, and the private MongoDB server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from .common import LAUNCHPAD_FILE, AsJson, Launchpad, open_launchpad, out, print_json, print_table

mongod_app = typer.Typer(help="The private MongoDB server of this directory.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (doctor, init):
        app.command(rich_help_panel="This machine")(command)
    app.add_typer(mongod_app, name="mongod", rich_help_panel="This machine")


def doctor(json: AsJson = False) -> None:
    """Say what is found on this machine, and what to do about the rest.

    Example: `fw-nnp doctor`
    """
    from fw_nnp.services.doctor import checks

    found = [asdict(check) for check in checks(Path.cwd())]
    if json:
        print_json(found)
    else:
        print_table(found)
    if any(check["state"] == "fail" for check in found):
        raise typer.Exit(1)


def init(launchpad: Launchpad = LAUNCHPAD_FILE) -> None:
    """Prepare the database of my_launchpad.yaml: FireWorks' counters, all indexes.

    Example: `fw-nnp init`
    """
    from fw_nnp.workflows.submit import initialise

    pad, store = open_launchpad(launchpad)
    initialise(pad, store)
    out.print(f"database '{pad.name}' is ready: fw-nnp submit FILE, or lpad add FILE")


@mongod_app.command()
def start(json: AsJson = False) -> None:
    """Start the private server and write my_launchpad.yaml (0600) for it.

    Example: `fw-nnp mongod start`
    """
    from fw_nnp.services import launchpad as launchpads
    from fw_nnp.services import mongod
    from fw_nnp.workflows.submit import initialise

    server = mongod.start(Path.cwd())
    path = launchpads.use_server(Path.cwd(), server)
    initialise(*open_launchpad(path))
    if json:
        print_json({"pid": server.pid, "port": server.port, "launchpad": str(path)})
    else:
        out.print(f"mongod runs on 127.0.0.1:{server.port}; its user is in {path}")


@mongod_app.command()
def stop() -> None:
    """Stop the private server; its data stay.

    Example: `fw-nnp mongod stop`
    """
    from fw_nnp.services import mongod

    out.print("stopped" if mongod.stop(Path.cwd()) else "no server runs for this directory")


@mongod_app.command()
def status(json: AsJson = False) -> None:
    """Say whether the private server runs.

    Example: `fw-nnp mongod status --json`
    """
    from fw_nnp.services import mongod

    server = mongod.status(Path.cwd())
    if json:
        print_json({"pid": server.pid, "port": server.port} if server else None)
    else:
        out.print(f"runs, 127.0.0.1:{server.port}, pid {server.pid}" if server else "does not run")
