"""Training and testing from files, without a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, err, out, print_json, print_table

if TYPE_CHECKING:
    from fw_nnp.core.records import LabelledConfiguration
    from fw_nnp.core.specs import DatasetSpec, FileTrainSpec
    from fw_nnp.nnp import StageResult

Data = Annotated[
    list[Path], typer.Option("--data", help="extxyz, ANI-style HDF5 or mlearn JSON; repeatable.")
]
Description = Annotated[
    Path | None, typer.Option(help="YAML that describes units, species and virials of the files.")
]
#: Columns of the table -> the trainer's names.
QUANTITIES = {
    "energy meV/atom": "energy",
    "force meV/Å": "forces",
    "stress GPa": "stress",
}


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (train, evaluate):
        app.command(rich_help_panel="Potentials")(command)


def train(
    data: Data,
    directory: Annotated[Path, typer.Option("--out", help="Folder for model and checkpoints.")],
    config: Annotated[Path | None, typer.Option(help="YAML with model, stages, seed.")] = None,
    low_data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Files of low-fidelity labels, for stages that say labels: low or replay."
        ),
    ] = None,
    description: Description = None,
    spread: Annotated[
        bool, typer.Option("--spread", help="Train each member of a committee in its own process.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Train a potential on files; called again, it goes on from its checkpoints.

    Example: `fw-nnp train --data al.extxyz --out al-potential`
    """
    from rich.progress import Progress, TaskID, TextColumn

    from fw_nnp.core.parsing import load_yaml, parse
    from fw_nnp.core.specs import FileTrainSpec
    from fw_nnp.nnp import Progress as StageProgress
    from fw_nnp.nnp import train_stage
    from fw_nnp.nnp.artefact import read_card
    from fw_nnp.nnp.committee import train_apart
    from fw_nnp.services.engines import find_programs

    content = load_yaml(config) if config else {}
    spec = parse(FileTrainSpec, content or {}, place=str(config or "defaults"))
    parts = _parts(spec.dataset, data, low_data or [], description)
    _require_low(spec, "low" in parts)
    directory.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    models: dict[str, Path] = {}
    movements: dict[str, Any] = {}
    offsets: dict[str, float] = {}
    columns = [*Progress.get_default_columns(), TextColumn("{task.fields[errors]}")]
    with Progress(*columns, console=err) as bar:
        for stage in spec.stages:
            line = bar.add_task(stage.name, total=1.0, errors="")

            def draw(fraction: float, newest: StageProgress, line: TaskID = line) -> None:
                bar.update(line, completed=fraction, errors=_errors(newest.record))

            def draw_one(newest: StageProgress, draw: Any = draw) -> None:
                draw(newest.fraction, newest)

            arguments = (stage, spec.model, *parts[stage.labels], directory / stage.name)
            keywords: dict[str, Any] = {
                "seed": spec.seed,
                "start_from": models.get(stage.start_from) if stage.start_from else None,
                "replay": parts["low"][0] if stage.replay else (),
                "base": config.parent if config else Path(),
                "potentials_dir": find_programs().potentials,
            }
            if spread:
                results = train_apart(*arguments, **keywords, progress=draw)
            else:
                results = [train_stage(*arguments, **keywords, progress=draw_one)]
            bar.update(line, completed=1.0)
            models[stage.name] = directory / stage.name / "model.pt"
            for number, result in enumerate(results, start=1):
                name = f"{stage.name}, member {number}" if spread else stage.name
                movements[name] = result.movement
                offsets[name] = result.stress_offset
                rows.append(_row(name, result))
    model = directory / "model.pt"
    partial = directory / "model.pt.part"
    partial.write_bytes(models[stage.name].read_bytes())
    partial.replace(model)
    members = read_card(model)["model"].get("members", 1)
    if json:
        found = {"members": members, "movement": movements, "stress_offset_GPa": offsets}
        print_json({"model": str(model), "stages": rows, **found})
        return
    _show(rows, offsets, movements)
    out.print(f"model: {model}{f', a committee of {members} networks' if members > 1 else ''}")


def _row(name: str, result: StageResult) -> dict[str, Any]:
    """What the table says of a stage: the errors of the model that was kept."""
    best = next((row for row in result.history if row["epoch"] == result.best_epoch), {})
    cells, errors = _newest(best)
    return {
        "stage": name,
        "epochs": len(result.history),
        "wall_s": result.wall_s,
        "errors of": cells,
        **errors,
    }


def _show(rows: list[dict[str, Any]], offsets: dict[str, float], movements: dict[str, Any]) -> None:
    """What the stages have come to, for people."""
    print_table(rows, title="errors (RMSE)")
    for name, offset in offsets.items():
        if offset:
            out.print(
                f"stage {name}: a constant {offset:+.2f} GPa in the normal stresses of the labels "
                "was left out, for their energies contradict it (a Pulay stress?). "
                "`stress_offset: 0` in the stage takes the stresses at their word"
            )
    for name, moved in movements.items():
        if moved:
            print_table(_moved(moved), title=f"what stage {name} moved, relative to its start")


def _newest(record: dict[str, Any]) -> tuple[str, dict[str, float | None]]:
    """Validation errors of an epoch, or where no cell validates those of the training cells."""
    validated = {q: record.get(f"validation_{key}") for q, key in QUANTITIES.items()}
    if any(value is not None for value in validated.values()):
        return "validation", validated
    return "training", {q: record.get(f"train_{key}") for q, key in QUANTITIES.items()}


def _parts(
    dataset: DatasetSpec, data: list[Path], low_data: list[Path], description: Path | None
) -> dict[str, tuple[list[LabelledConfiguration], list[LabelledConfiguration]]]:
    """Training and validation labels of high and, where given, of low fidelity.

    What validates or tests at high fidelity trains at neither.
    """
    from fw_nnp.core.splits import split

    cuts = (dataset.fractions, dataset.seed, dataset.split_by)
    training, validation, tested = split(
        [item for path in data for item in _read(path, description)], *cuts
    )
    err.print(f"{len(training)} configurations to train, {len(validation)} to validate")
    parts = {"high": (training, validation)}
    if low_data:
        held_out = {item.configuration.id for item in [*validation, *tested]}
        low, low_validation, _ = split(
            [item for path in low_data for item in _read(path, description)], *cuts
        )
        low = [item for item in low if item.configuration.id not in held_out]
        parts["low"] = (low, low_validation)
        err.print(f"{len(low)} of low fidelity to train, {len(low_validation)} to validate")
    return parts


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    data: Data,
    description: Description = None,
    shift: Annotated[
        bool, typer.Option("--shift", help="Fit a constant energy per element first.")
    ] = False,
    head: Annotated[str, typer.Option(help="Of a model that has several.")] = "",
    calibration: Annotated[
        Path | None,
        typer.Option(help="PNG to draw a committee's uncertainty into, against its errors."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Errors of a potential on labelled files.

    Example: `fw-nnp evaluate al-potential/model.pt --data test.extxyz --json`
    """
    from fw_nnp.nnp import predict
    from fw_nnp.properties.errors import compare, fit_shift
    from fw_nnp.properties.evaluation import errors_json

    items = [item for path in data for item in _read(path, description)]
    if calibration is not None:
        _calibrate(model, head, items, calibration, json)
        return
    predicted = predict(model, [item.configuration for item in items], head=head)
    energies = fit_shift(items, predicted) if shift else None
    errors = errors_json(compare(items, predicted, shift=energies))
    if json:
        print_json(errors)
        return
    rows = [
        {"quantity": name, **value}
        for name, value in errors.items()
        if isinstance(value, dict) and "rmse" in value
    ]
    print_table(rows, title=f"{len(items)} configurations")


def _calibrate(
    model: Path, head: str, items: list[LabelledConfiguration], figure: Path, json: bool
) -> None:
    """What the spread of the members is worth, as a figure and a table."""
    from dataclasses import asdict

    from fw_nnp.nnp import predict_members
    from fw_nnp.properties.calibration import calibration
    from fw_nnp.report.calibration import calibration_figure
    from fw_nnp.report.style import png_bytes

    configurations = [item.configuration for item in items]
    found = calibration(items, predict_members(model, configurations, head=head))
    figure.write_bytes(png_bytes(calibration_figure(found)))
    if json:
        print_json({name: asdict(value) for name, value in found.items()})
        return
    rows = [
        {
            "quantity": name,
            "factor": value.factor,
            "rank correlation": value.rank_correlation,
            "count": value.count,
        }
        for name, value in found.items()
    ]
    print_table(rows, title="error / spread of the committee")
    out.print(f"figure: {figure}")


def _require_low(spec: FileTrainSpec, there: bool) -> None:
    """Stages on low-fidelity labels need files of them."""
    from fw_nnp.core.errors import SpecError

    wanting = [stage.name for stage in spec.stages if stage.labels == "low" or stage.replay]
    if wanting and not there:
        raise SpecError(
            f"no file of low-fidelity labels for stage {', '.join(wanting)}",
            place="--low-data",
            remedy="name one with --low-data, or train that stage on labels: high without replay",
        )


def _moved(movement: dict[str, dict[str, float | None]]) -> list[dict[str, Any]]:
    """Rows of a table: parameters, with the change of their layer's outputs beside its weight."""
    rows = []
    for name, change in movement["parameters"].items():
        layer, _, kind = name.rpartition(".")
        outputs = movement["layers"].get(layer, "") if kind == "weight" else ""
        rows.append({"parameter": name, "change": change, "change of outputs": outputs})
    for element, moved in movement["reference"].items():
        rows.append(
            {"parameter": f"reference.{element}, eV", "change": moved, "change of outputs": ""}
        )
    return rows


def _errors(record: dict[str, Any]) -> str:
    """The newest errors, for the progress bar."""
    shown = {q.split()[1]: value for q, value in _newest(record)[1].items()}
    return "  ".join(f"{value:.3g} {unit}" for unit, value in shown.items() if value)


def _read(path: Path, description: Path | None) -> list[LabelledConfiguration]:
    from fw_nnp.exchange import load_description, read_labelled

    return list(read_labelled(path, load_description(description) if description else None))
