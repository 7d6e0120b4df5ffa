"""Evaluate: the potential and the EAM against DFT, on held-out labels and as crystals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fw_nnp import __version__
from fw_nnp.core.errors import FwNnpError
from fw_nnp.core.records import Configuration, Label, LabelledConfiguration
from fw_nnp.core.splits import PARTS
from fw_nnp.nnp import predict
from fw_nnp.properties.elastic import CubicProperties, cubic_properties
from fw_nnp.properties.errors import Errors, compare, fit_shift
from fw_nnp.properties.evaluation import (
    Cost,
    Evaluation,
    History,
    LabelCounts,
    QuarantinedLabel,
    to_json,
)
from fw_nnp.properties.pool import Pool, summarise_pool
from fw_nnp.store.base import Document
from fw_nnp.store.store import Store
from fw_nnp.workflows.stages import low_stages

from .base import Context

#: The report's names of the validation errors -> the trainer's.
HISTORY = {
    "energy_meV_atom": "validation_energy",
    "force_meV_A": "validation_forces",
    "stress_GPa": "validation_stress",
}


def evaluate(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Assemble and store the evaluation of the last stage's model."""
    store, spec = context.store, context.spec
    plan = context.result("plan")
    dataset = store.dataset(context.result("collect")["dataset"])
    theory = store.theory(dataset["theories"][0])
    models = [context.result(f"train-{stage.name}")["model"] for stage in spec.train.stages]
    files = {model: _model_file(context, model) for model in models}
    parts = {part: store.dataset_part(dataset["_id"], part) for part in PARTS}
    empirical = {part: _low_labels(store, plan["low_theory"], parts[part]) for part in parts}
    shift = fit_shift(parts["train"], empirical["train"])
    test = parts["test"]
    configurations = [item.configuration for item in test]
    stage_errors = {
        stage.name: _stage_errors(parts, files[model], configurations)
        for stage, model in zip(spec.train.stages, models, strict=True)
    }
    properties, failures = _properties(context, files[models[-1]])
    evaluation = Evaluation(
        campaign=context.campaign,
        description=spec.description,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        dataset_id=dataset["_id"],
        model_id=models[-1],
        theory_id=theory.id,
        theory={"code": theory.code, **theory.settings},
        model_path="model.pt",
        settings=spec.model_dump(mode="json"),
        empirical=_empirical_name(context),
        labels=LabelCounts(
            total=sum(map(len, parts.values())),
            by_phase=dict(Counter(item.phase for part in parts.values() for item in part)),
            by_split={part: len(items) for part, items in parts.items()},
            low=max(
                (context.result(f"train-{s.name}")["n_train"] for s in low_stages(spec)),
                default=0,
            ),
        ),
        test_errors={
            "potential": compare(test, predict(files[models[-1]], configurations)),
            "eam": compare(test, empirical["test"], shift=shift),
        },
        stage_errors=stage_errors,
        energy_shift=shift,
        quarantined=quarantined(store, context.campaign, theory.id),
        properties=properties,
        property_failures=failures,
        histories=tuple(
            _history(store.model(model), stage.labels)
            for stage, model in zip(spec.train.stages, models, strict=True)
        ),
        costs=costs(store, context.campaign),
        pool=_pool(context, plan["low_theory"]),
    )
    store.put_evaluation(context.campaign, to_json(evaluation))
    return {"model": models[-1], "dataset": dataset["_id"]}


def quarantined(store: Store, campaign: str, theory: str) -> tuple[QuarantinedLabel, ...]:
    """The campaign's failures at a level of theory, as its report lists them."""
    return tuple(
        QuarantinedLabel(
            configuration_id=document["configuration"],
            error_class=document["error_class"],
            reason=document["reason"],
        )
        for document in store.quarantined({"campaign": campaign, "theory": theory})
    )


def costs(store: Store, campaign: str) -> dict[str, Cost]:
    """Wall and core seconds of the finished steps, by stage, in the order of the campaign."""
    sums: dict[str, list[Document]] = {}
    for step in store.steps(campaign):
        sums.setdefault(step["stage"], []).append(step)
    units = {"sample": ("frames", "frame"), "relabel": ("labels", "label")}
    made = {}
    for stage, steps in sums.items():
        key, unit = units.get(stage, ("", ""))
        made[stage] = Cost(
            wall_s=sum(step["wall_s"] for step in steps),
            core_s=sum(step["core_s"] for step in steps),
            items=sum(step["result"].get(key, 0) for step in steps),
            unit=unit,
        )
    return made


def _model_file(context: Context, model: str) -> Path:
    path = context.directory(model) / "evaluated.pt"
    path.write_bytes(context.store.model_data(model))
    return path


def _low_labels(store: Store, theory: str, items: Sequence[LabelledConfiguration]) -> list[Label]:
    """The empirical labels of the same configurations, in the same order."""
    ids = [item.configuration.id for item in items]
    found = {
        item.configuration.id: item.label
        for item in store.labels({"configuration": {"$in": ids}, "theory": theory})
    }
    return [found[i] for i in ids]


def _stage_errors(
    parts: Mapping[str, Sequence[LabelledConfiguration]],
    model: Path,
    configurations: Sequence[Configuration],
) -> Errors:
    """Test errors of one stage's model.

    The stages on empirical labels know the empirical zero of energy only: all stages are
    compared after a constant shift per atom, fitted on the training labels. The final
    potential is compared without one, as it is used.
    """
    shift = fit_shift(parts["train"], predict(model, [i.configuration for i in parts["train"]]))
    return compare(parts["test"], predict(model, configurations), shift=shift)


def _properties(context: Context, model: Path) -> tuple[dict[str, CubicProperties], dict[str, str]]:
    spec = context.spec.evaluate
    empirical = context.potential(target=True)
    directory = context.directory(context.key)
    methods: dict[str, Callable[[Sequence[Configuration]], list[Label]]] = {
        "potential": lambda cells: predict(model, cells),
        "eam": lambda cells: empirical.label(cells, directory),
    }
    properties = {"dft": CubicProperties(**context.result("reference"))}
    failures = {}
    for name, method in methods.items():
        try:
            properties[name] = cubic_properties(method, spec)
        except FwNnpError as error:  # a poor potential has no crystal: the report says so
            failures[name] = error.message
    return properties, failures


def _empirical_name(context: Context) -> str:
    sample = context.spec.sample
    potential = sample.translate.potential if sample.translate else sample.potential
    name = Path(potential.file).name.split(".")[0]
    return f"EAM {name}" if name else potential.engine.upper()


def _history(model: Document, labels: str) -> History:
    rows = model["history"]
    return History(
        stage=model["stage"],
        labels=labels,
        epoch=tuple(row["epoch"] for row in rows),
        errors={
            name: tuple(row[key] for row in rows)
            for name, key in HISTORY.items()
            if all(row[key] is not None for row in rows)
        },
    )


def _pool(context: Context, low_theory: str) -> Pool:
    store = context.store
    filter_ = {"campaign": context.campaign, "theory": low_theory, "purpose": "pool"}
    energies = {
        d["configuration"]: d["energy"]
        for d in store.label_documents(filter_, fields=["configuration", "energy"])
    }
    frames = store.frames_of(sorted(energies))
    chosen = [
        i
        for number in range(context.result("select")["n_chunks"])
        for i in store.chunk(context.campaign, number)
    ]
    return summarise_pool(frames, [energies[f.configuration.id] for f in frames], chosen)
