"""Campaigns: validate, submit, status, report, work."""

from __future__ import annotations

from dataclasses import asdict
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

CampaignFile = Annotated[Path, typer.Argument(help="A campaign file (YAML).", metavar="FILE")]
Quick = Annotated[bool, typer.Option("--quick", help="The small size of its 'quick' section.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (validate, submit, status, report, work):
        app.command(rich_help_panel="Campaigns")(command)


def validate(file: CampaignFile, quick: Quick = False, json: AsJson = False) -> None:
    """Check a campaign file: keys, units, files that it names. Nothing is submitted.

    Example: `fw-nnp validate examples/campaigns/al_quickstart.yaml`
    """
    from fw_nnp.sampling.protocols import sampling_runs
    from fw_nnp.workflows.check import check_files
    from fw_nnp.workflows.files import read_campaign

    spec = read_campaign(file, quick=quick)
    check_files(spec, base=file.resolve().parent)
    if json:
        print_json(spec.model_dump(mode="json"))
        return
    rows = {
        "campaign": spec.name,
        "sampling runs": len(sampling_runs(spec.sample, spec.seed)),
        "to relabel": sum(spec.select.phases.values()),
        "level of theory": spec.relabel.theory.code,
        "training": " -> ".join(stage.name for stage in spec.train.stages),
    }
    print_table([{"what": key, "value": value} for key, value in rows.items()])
    out.print(f"{file} is valid.")


def submit(file: CampaignFile, quick: Quick = False, launchpad: Launchpad = LAUNCHPAD_FILE) -> None:
    """Check a campaign file and put its planner on the launchpad, as `lpad add` does.

    Twice changes nothing: what exists is not added again.

    Example: `fw-nnp submit examples/campaigns/al_quickstart.yaml`
    """
    from fw_nnp.workflows.files import read_campaign
    from fw_nnp.workflows.submit import submit_campaign

    spec = read_campaign(file, quick=quick)
    pad, store = open_launchpad(launchpad)
    new = submit_campaign(pad, store, spec, base=file.resolve().parent)
    out.print(f"campaign {spec.name} {'submitted' if new else 'was there already'}")
    out.print(f"run it: rlaunch rapidfire; watch it: fw-nnp status {spec.name}")


def status(
    campaign: Annotated[str | None, typer.Argument(help="Name; default: all.")] = None,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="List the failures.")] = False,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Show where campaigns stand, and start what may start.

    Example: `fw-nnp status al-quickstart --quarantine`
    """
    from fw_nnp.workflows.advance import advance
    from fw_nnp.workflows.status import campaign_status

    pad, store = open_launchpad(launchpad)
    found = []
    for name in [campaign] if campaign else store.campaigns():
        advance(pad, store, name)
        found.append(campaign_status(pad, store, name))
    failures = [f for s in found for f in store.quarantined({"campaign": s.campaign})]
    if json:
        plain: list[dict[str, Any]] = [asdict(s) for s in found]
        print_json(plain if not quarantine else {"campaigns": plain, "quarantine": failures})
        return
    for one in found:
        print_table([asdict(stage) for stage in one.stages], title=f"campaign {one.campaign}")
        for failure in one.failures:
            err.print(
                f"Firework {failure['fw_id']} ({failure['name']}) fizzled: {failure['reason']}",
                markup=False,
            )
        if one.hopeless:
            err.print(
                "the gate stays closed: too few labels; see --quarantine, or lower min_yield",
                markup=False,
            )
    if quarantine:
        columns = ("configuration", "error_class", "reason")
        print_table([{c: f[c] for c in columns} for f in failures], title="quarantine")
    if not found:
        out.print("no campaign yet: fw-nnp submit FILE")


def report(
    campaign: Annotated[str, typer.Argument(help="Name of the campaign.")],
    directory: Annotated[
        Path | None, typer.Option("--out", help="Folder; default: results/CAMPAIGN.")
    ] = None,
    figures: Annotated[bool, typer.Option("--figures", help="Its figures as PNG, too.")] = False,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Write the report page and the model file, or print the page's numbers.

    Example: `fw-nnp report al-quickstart --json`
    """
    from fw_nnp.firetasks.report import export_report, stored_evaluation
    from fw_nnp.properties.evaluation import report_json
    from fw_nnp.report.figures import save_figures

    _, store = open_launchpad(launchpad)
    if json:
        print_json(report_json(stored_evaluation(store, campaign)))
        return
    directory = directory or Path("results") / campaign
    page, model = export_report(store, campaign, directory)
    if figures:
        save_figures(stored_evaluation(store, campaign), directory / "figures")
    out.print(f"report: {page}\nmodel:  {model}", soft_wrap=True)


def work(
    category: Annotated[
        str, typer.Option(help="What to run, comma separated: md, dft, gpu.")
    ] = "md,dft,gpu",
    cores: Annotated[int, typer.Option(help="Cores that it may use at once.", min=1)] = 1,
    forever: Annotated[bool, typer.Option("--forever", help="Wait for more work.")] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Run Fireworks here until there are none; stops in good order on Ctrl-C or SIGTERM.

    Example: `fw-nnp work --category md,dft --cores 2`
    """
    from fw_nnp.workflows.worker import named_worker
    from fw_nnp.workflows.worker import work as run

    pad, _ = open_launchpad(launchpad)
    here = Path.cwd()
    env = {"scratch": str(here / "scratch"), "results": str(here / "results"), "cores": cores}
    name = category.replace(",", "-")
    worker = named_worker(name, category.split(","), env)
    ran = run(pad, worker, here / "launches", forever=forever, with_parent=with_parent)
    err.print(f"{ran} Fireworks run")
