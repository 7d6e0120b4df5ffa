"""The demo: a campaign from nothing to its report on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import err, out

if TYPE_CHECKING:
    from fw_nnp.workflows.status import CampaignStatus

QUICKSTART = Path("examples/campaigns/al_quickstart.yaml")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="This machine")(demo)


def demo(
    file: Annotated[Path, typer.Argument(help="Campaign file.")] = QUICKSTART,
    quick: Annotated[bool, typer.Option("--quick", help="The small size, for a look.")] = False,
) -> None:
    """Run a campaign here, from an empty directory to its report; again: goes on, repeats nothing.

    Example: `fw-nnp demo examples/campaigns/al_quickstart.yaml`
    """
    from fw_nnp.firetasks.report import export_report
    from fw_nnp.services import mongod
    from fw_nnp.workflows.files import read_campaign
    from fw_nnp.workflows.local import run_locally

    spec = read_campaign(file, quick=quick)
    here = Path.cwd()
    with _Display(spec.name) as display:
        _, store = run_locally(spec, base=file.resolve().parent, directory=here, watch=display.show)
    page, model = export_report(store, spec.name, here / "results" / spec.name)
    server = mongod.status(here)
    out.print(f"\nreport:   {page}\nmodel:    {model}", soft_wrap=True)
    if server:
        out.print(
            f"database: 127.0.0.1:{server.port}, as my_launchpad.yaml says; "
            "it goes on running: lpad get_wflows, fw-nnp query, fw-nnp mongod stop",
            soft_wrap=True,
        )


class _Display:
    """Progress bars on a terminal; elsewhere a line when something changes."""

    def __init__(self, campaign: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._campaign = campaign
        self._bars = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
            TextColumn("[dim]{task.fields[state]}"),
            TimeElapsedColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self._tasks: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def __enter__(self) -> _Display:
        err.print(f"campaign {self._campaign}; stop with Ctrl-C, start again to go on")
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def show(self, status: CampaignStatus) -> None:
        """Draw the status, or print what changed."""
        from rich.progress import TaskID

        for stage in status.stages:
            if not err.is_terminal:
                tenth = 10 * stage.done // stage.total if stage.total else 0
                if self._last.setdefault(stage.stage, 0) != tenth:
                    err.print(f"{stage.stage:>10} {stage.done}/{stage.total} {stage.unit}")
                    self._last[stage.stage] = tenth
                continue
            if stage.stage not in self._tasks:
                task = self._bars.add_task(stage.stage, start=False, unit="", state="")
                self._tasks[stage.stage] = task
            task = TaskID(self._tasks[stage.stage])
            state = "done" if stage.total and stage.done >= stage.total else ""
            if stage.running and not state:
                self._bars.start_task(task)
                state = "running"
            elif state:
                self._bars.stop_task(task)
            if stage.stage == "relabel" and status.quarantined:
                state += f", {status.quarantined} in quarantine"
            self._bars.update(
                task,
                completed=stage.done,
                total=max(stage.total, 1),
                unit=stage.unit,
                state=state,
            )
