"""A trained potential at work: LAMMPS, relaxation, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (lammps,):
        app.command(rich_help_panel="Potentials")(command)


def lammps(
    file: Annotated[Path, typer.Argument(metavar="INPUT", help="A LAMMPS input file.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENTS", help="Of LAMMPS' own command line, after --."),
    ] = None,
) -> None:
    """Run a LAMMPS input in which `pair_style fw_nnp model.pt` is understood, without a rebuild.

    The potential is named by two lines: `pair_style fw_nnp model.pt [single|double]` and
    `pair_coeff * * Al Ni`, an element for each atom type. All other lines go to LAMMPS.

    Example: `fw-nnp lammps in.melt -- -var T 300 -log melt.log`
    """
    from fw_nnp.nnp.lammps_run import run_lammps

    run_lammps(file, arguments or [])
