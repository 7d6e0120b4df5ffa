"""A trained potential at work: LAMMPS, relaxation, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import AsJson, err, out, print_json, print_table

if TYPE_CHECKING:
    from fw_nnp.core.records import Configuration

ModelFile = Annotated[Path, typer.Option("--model", help="Model file.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (relax, lammps, join_committee, export_model, card):
        app.command(rich_help_panel="Potentials")(command)


def relax(
    file: Annotated[Path, typer.Argument(help="Structures in any format that ASE reads.")],
    model: ModelFile,
    cell: Annotated[bool, typer.Option("--cell", help="Relax the cells, too.")] = False,
    fmax: Annotated[float, typer.Option(help="Largest force that is left, eV/Å.", min=0.0)] = 0.01,
    steps: Annotated[int, typer.Option(help="Most steps of one cell.", min=0)] = 1000,
    result: Annotated[Path, typer.Option("--out", help="File of the relaxed cells.")] = Path(
        "relaxed.extxyz"
    ),
    json: AsJson = False,
) -> None:
    """Relax all structures of a file at once; exit code 1 if one of them did not converge.

    Example: `fw-nnp relax POSCAR --model al-potential/model.pt --cell --fmax 0.01`
    """
    from rich.progress import Progress

    from fw_nnp.core.records import LabelledConfiguration
    from fw_nnp.exchange import write_labelled
    from fw_nnp.nnp.artefact import load_model, model_id
    from fw_nnp.nnp.relax import relax as relax_all
    from fw_nnp.nnp.surface import Surface

    starts = _structures(file)
    surface = Surface(load_model(model))
    with Progress(console=err) as bar:
        line = bar.add_task("relaxing", total=len(starts))
        found = relax_all(
            surface,
            starts,
            fmax=fmax,
            cell=cell,
            most_steps=steps,
            theory_id=model_id(model),
            progress=lambda done: bar.update(line, completed=done),
        )
    write_labelled(
        result,
        [LabelledConfiguration(configuration=one.configuration, label=one.label) for one in found],
    )
    rows = [
        {
            "cell": index,
            "formula": one.configuration.formula,
            "steps": one.steps,
            "energy_eV": one.label.energy,
            "volume_A3": one.configuration.volume,
            "largest_force": one.largest_force,
            "converged": one.converged,
        }
        for index, one in enumerate(found, start=1)
    ]
    if json:
        print_json({"file": str(result), "cells": rows})
    else:
        print_table(rows, title=f"{len(rows)} structures")
        out.print(f"relaxed structures: {result}")
    if not all(one.converged for one in found):
        err.print(f"not all converged in {steps} steps; more with --steps")
        raise typer.Exit(1)


def _structures(path: Path) -> list[Configuration]:
    """All structures of a file."""
    import ase.io

    from fw_nnp.core.atoms import from_atoms
    from fw_nnp.core.errors import SpecError

    try:
        return [from_atoms(atoms) for atoms in ase.io.read(path, index=":")]
    except Exception as error:  # every format of ASE fails in its own way
        raise SpecError(
            f"cannot be read: {error or type(error).__name__}",
            place=str(path),
            remedy="give a file with structures that ASE reads, such as POSCAR, cif or extxyz",
        ) from error


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


def join_committee(
    models: Annotated[list[Path], typer.Argument(help="Model files of single models.")],
    result: Annotated[Path, typer.Option("--out", help="File to write.")],
) -> None:
    """Make one model file of models that were trained apart, its members.

    Train them with the same configuration but for `seed`, on any machines.

    Example: `fw-nnp join-committee a/model.pt b/model.pt c/model.pt --out committee.pt`
    """
    from fw_nnp.nnp.committee import join_committee as join

    join(models, result)
    out.print(f"committee: {result}")


def export_model(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    result: Annotated[Path, typer.Argument(metavar="OUT", help="File to write, .pt2.")],
    head: Annotated[str, typer.Option(help="Of a model that has several.")] = "",
) -> None:
    """Write a model as a program of torch alone (torch.export), and its card beside it.

    Example: `fw-nnp export-model al-potential/model.pt al.pt2`
    """
    from fw_nnp.nnp.export import export_model as write

    err.print("exporting: takes about half a minute")
    card_file = write(model, result, head)
    out.print(f"program: {result}\ncard: {card_file}")


def card(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    json: AsJson = False,
) -> None:
    """What a model file says of itself: architecture, data, ranges, errors, limits, as Markdown.

    Example: `fw-nnp card al-potential/model.pt`
    """
    from fw_nnp.nnp.artefact import model_id, read_card
    from fw_nnp.nnp.card import model_card

    if json:
        print_json({"id": model_id(model), **read_card(model)})
    else:
        print(model_card(model), end="")
