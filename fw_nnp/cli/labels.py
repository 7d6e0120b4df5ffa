"""Labels: what happened in a run, and whether its numbers belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .common import AsJson, out, print_json


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel="Labels")(diagnose)


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
