"""Labels: what happened in a run, and whether its numbers belong together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .common import AsJson, out, print_json, print_table

if TYPE_CHECKING:
    from fw_nnp.core.records import LabelledConfiguration

Description = Annotated[
    Path | None, typer.Option(help="How to read a foreign file: units, signs, species (YAML).")
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
        raise SpecError("no such folder", place=str(directory), remedy="name the folder of a run")
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
    file: Annotated[Path, typer.Argument(help="Labelled configurations (extxyz, HDF5, ase db).")],
    labeler: Annotated[
        Path | None,
        typer.Option(help="Campaign file of their level of theory: compute displaced cells."),
    ] = None,
    count: Annotated[int, typer.Option(help="How many to displace, evenly spread.", min=1)] = 5,
    cores: Annotated[int, typer.Option(help="Calculations side by side.", min=1)] = 1,
    folder: Annotated[Path, typer.Option(help="Scratch of the displaced cells.")] = Path("audit"),
    description: Description = None,
    json: AsJson = False,
) -> None:
    """Say whether energies, forces and stresses of a dataset belong together.

    Between similar configurations the energy difference must be the work of the forces and of
    the stress; a wrong sign or unit and a constant offset of the stress show. With --labeler
    nothing is inferred: six displaced or strained cells of each of `count` configurations are
    computed, and forces and stress held against central differences of their energies. Exit code
    1 where something was found.

    Example: `fw-nnp audit data.extxyz`
    """
    from dataclasses import asdict
    from typing import Any

    found: Any
    if labeler is not None:
        from fw_nnp.firetasks.audit import audit_by_differences
        from fw_nnp.workflows.files import read_campaign

        found = audit_by_differences(
            _read(file, description),
            read_campaign(labeler).relabel,
            base=labeler.resolve().parent,
            folder=folder,
            count=count,
            cores=cores,
        )
    else:
        from fw_nnp.properties.audit import audit as of

        found = of(_read(file, description))
    if json:
        print_json(asdict(found))
    else:
        rows = [{"": k, "value": v} for k, v in asdict(found).items() if k != "findings"]
        print_table(rows, title=str(file))
        for text in found.findings or ("nothing found",):
            out.print(text, markup=False, soft_wrap=True)
    if found.findings:
        raise typer.Exit(1)


def crosscheck(
    campaign: Annotated[Path, typer.Argument(help="Campaign file that states the second theory.")],
    file: Annotated[Path, typer.Argument(help="Labelled configurations of the first theory.")],
    count: Annotated[int, typer.Option(help="How many of them, evenly spread.", min=2)] = 20,
    cores: Annotated[int, typer.Option(help="Calculations side by side.", min=1)] = 1,
    folder: Annotated[Path, typer.Option(help="Scratch and results.")] = Path("crosscheck"),
    description: Description = None,
    json: AsJson = False,
) -> None:
    """Label a part of a dataset again at a second level of theory and compare.

    One reference energy per element is taken out of the difference first.

    Example: `fw-nnp crosscheck second.yaml data.extxyz --count 20 --cores 4`
    """
    from dataclasses import asdict

    from fw_nnp.firetasks.crosscheck import crosscheck as of
    from fw_nnp.workflows.files import read_campaign

    spec = read_campaign(campaign)
    found = of(
        _read(file, description),
        spec.relabel,
        base=campaign.resolve().parent,
        folder=folder,
        count=count,
        cores=cores,
    )
    if json:
        print_json(asdict(found))
        return
    print_table(found.rows(), title=f"{found.compared} configurations, {found.failed} failed")
    out.print(f"figure: {found.figure}", soft_wrap=True)


def _read(file: Path, description: Path | None) -> list[LabelledConfiguration]:
    from fw_nnp.exchange import load_description, read_labelled

    return list(read_labelled(file, load_description(description) if description else None))
