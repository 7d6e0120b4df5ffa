"""Labels: what happened in a run, and whether its numbers belong together."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fw_nnp.core.records import LabelledConfiguration

Description = Annotated[
    Path | None, typer.Option(help="How to read a foreign file: units, signs, species (YAML).")
]
Labelled = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="Labelled configurations: a file (extxyz, HDF5, ase db), or a dataset of the store.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (diagnose, audit, crosscheck):
        app.command(rich_help_panel="Labels")(command)


def diagnose(
    directory: Annotated[Path, typer.Argument(help="Folder with the outputs of one run.")],
    code: Annotated[
        Literal["espresso", "vasp"] | None, typer.Option(help="Default: the outputs tell.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Say what happened in a run of pw.x or VASP: `ok` only where success is proved.

    Files are found by their content, whatever they are called.

    Example: `fw-nnp diagnose scratch/al/relabel-3/cfg-0a1b --json`
    """
    from fw_nnp.core.errors import SpecError
    from fw_nnp.dft.diagnose import diagnose as of

    if not directory.is_dir():
        what = "that is a file" if directory.exists() else "no such folder"
        remedy = "name the folder that holds the outputs of one run"
        raise SpecError(what, place=str(directory), remedy=remedy)
    found = of(directory, code=code)
    if json:
        print_json(found.to_dict())
        return
    at = found.evidence
    where = f"{at.file}:{at.line}" if at.line else at.file
    out.print(f"{found.code}: {found.error_class}", style="bold", markup=False)
    out.print(
        f"  seen   {': '.join(x for x in (where, at.text) if x)}", markup=False, soft_wrap=True
    )
    if not found.ok:
        out.print(f"  next   {found.next_action} ({found.remedy})", markup=False, soft_wrap=True)


def audit(
    dataset: Labelled,
    labeler: Annotated[
        Path | None,
        typer.Option(help="Campaign file of their level of theory: compute displaced cells."),
    ] = None,
    count: Annotated[int, typer.Option(help="How many to displace, evenly spread.", min=1)] = 5,
    cores: Annotated[int, typer.Option(help="Calculations side by side.", min=1)] = 1,
    folder: Annotated[
        Path, typer.Option(help="Labels of the displaced cells; a repeated audit goes on there.")
    ] = Path("audit"),
    figure: Annotated[
        Path | None, typer.Option(help="Draw what labels claim against what energies say.")
    ] = None,
    description: Description = None,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Say whether energies, forces and stresses of a dataset belong together.

    Between similar configurations the energy difference must be the work of the forces and of
    the stress; a wrong sign or unit and a constant offset of the stress show. With --labeler
    nothing is inferred: six displaced or strained cells of each of `count` configurations are
    computed, and forces and stress held against central differences of their energies. Exit code
    1 where something was found.

    Example: `fw-nnp audit data.extxyz --figure audit.png`
    """
    from dataclasses import asdict
    from typing import Any

    found: Any
    if labeler is not None:
        from fw_nnp.firetasks.audit import audit_by_differences
        from fw_nnp.workflows.files import read_campaign

        with _counting("displaced cells") as told:
            found = audit_by_differences(
                _read(dataset, description, launchpad),
                read_campaign(labeler).relabel,
                base=labeler.resolve().parent,
                folder=folder,
                count=count,
                cores=cores,
                told=told,
            )
    else:
        from fw_nnp.properties.audit import audit as of

        found = of(_read(dataset, description, launchpad))
    if figure is not None:
        from fw_nnp.report.consistency import consistency_figure

        consistency_figure(found.points).savefig(figure)
    if json:
        print_json(asdict(found))
    else:
        hidden = ("findings", "points")
        rows = [{"": k, "value": v} for k, v in asdict(found).items() if k not in hidden]
        print_table(rows, title=Path(dataset).name)
        for text in found.findings or ("nothing found",):
            out.print(text, markup=False, soft_wrap=True)
    if found.findings:
        raise typer.Exit(1)


def crosscheck(
    campaign: Annotated[Path, typer.Argument(help="Campaign file that states the second theory.")],
    dataset: Labelled,
    count: Annotated[int, typer.Option(help="How many of them, evenly spread.", min=2)] = 20,
    cores: Annotated[int, typer.Option(help="Calculations side by side.", min=1)] = 1,
    folder: Annotated[
        Path, typer.Option(help="Labels of the second theory, and the figure; a repeat goes on.")
    ] = Path("crosscheck"),
    description: Description = None,
    json: AsJson = False,
    launchpad: Launchpad = LAUNCHPAD_FILE,
) -> None:
    """Label a part of a dataset again at a second level of theory and compare.

    One reference energy per element is taken out of the difference first.

    Example: `fw-nnp crosscheck second.yaml data.extxyz --count 20 --cores 4`
    """
    from dataclasses import asdict

    from fw_nnp.firetasks.crosscheck import crosscheck as of
    from fw_nnp.workflows.files import read_campaign

    spec = read_campaign(campaign)
    with _counting("second theory") as told:
        found = of(
            _read(dataset, description, launchpad),
            spec.relabel,
            base=campaign.resolve().parent,
            folder=folder,
            count=count,
            cores=cores,
            told=told,
        )
    if json:
        print_json(asdict(found))
        return
    print_table(found.rows(), title=f"{found.compared} configurations, {found.failed} failed")
    for element, energy in found.reference_energies.items():
        out.print(f"reference energy of {element}: {energy:+.6f} eV/atom to the second theory")
    for reason in found.reasons:
        out.print(f"not labelled: {reason}", markup=False, soft_wrap=True)
    out.print(f"figure: {found.figure}", soft_wrap=True)


def _read(dataset: str, description: Path | None, launchpad: Path) -> list[LabelledConfiguration]:
    """All of a file, or of a dataset of the store where no file has that name."""
    from fw_nnp.core.splits import PARTS
    from fw_nnp.exchange import load_description, read_labelled

    path = Path(dataset)
    if path.exists() or path.suffix or not launchpad.exists():
        return list(read_labelled(path, load_description(description) if description else None))
    _, store = open_launchpad(launchpad)
    version = store.dataset(dataset)["_id"]
    return [item for part in PARTS for item in store.dataset_part(version, part)]


@contextmanager
def _counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr that is told how many are done, and of how many."""
    from rich.progress import MofNCompleteColumn, Progress

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=err) as bar:
        line = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(line, completed=done, total=total)
