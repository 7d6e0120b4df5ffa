"""The evaluation document of a campaign: everything its report says, as plain data.

The evaluate task assembles it, the store keeps `to_json` of it, the report draws it and
``fw-nnp report CAMPAIGN --json`` prints `report_json` of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fw_nnp.core.errors import SpecError

from .elastic import CubicProperties
from .errors import Errors, Score, Scores
from .pool import Pool

EVALUATION_SCHEMA = 1
METHODS = ("potential", "dft", "eam")


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """Labels of the level of theory in the dataset.

    Attributes
    ----------
    total
        Labels in the dataset version.
    by_phase
        ``solid``, ``interface``, ``liquid`` -> labels.
    by_split
        ``train``, ``validation``, ``test`` -> labels.
    low
        Labels of the empirical potential that pre-training used.
    """

    total: int
    by_phase: Mapping[str, int]
    by_split: Mapping[str, int]
    low: int = 0


@dataclass(frozen=True, kw_only=True)
class QuarantinedLabel:
    """A structure without a label: its id, the class of the failure, one sentence of reason."""

    configuration_id: str
    error_class: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class History:
    """One stage of training, epoch by epoch.

    Attributes
    ----------
    stage
        Its name in the campaign file.
    labels
        ``low`` or ``high``: whose labels it trained on.
    epoch
        (n,) epochs at which the errors were taken.
    errors
        ``energy_meV_atom``, ``force_meV_A``, ``stress_GPa`` -> (n,) root mean square errors
        on the validation set; absent quantities are left out.
    """

    stage: str
    labels: str
    epoch: tuple[int, ...]
    errors: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time that a stage of the campaign took.

    Attributes
    ----------
    wall_s, core_s
        Seconds of wall clock, and times cores, summed over the stage's Fireworks.
    items
        What the stage made: frames, labels, epochs; 0 where nothing is counted.
    unit
        Singular name of an item.
    """

    wall_s: float
    core_s: float
    items: int = 0
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a campaign made, how good it is and what it cost.

    Attributes
    ----------
    campaign, description, created, version
        Name and text of the campaign file, time of the evaluation (ISO 8601), fw_nnp's version.
    dataset_id, model_id, theory_id
        Ids of the dataset version, the model and the level of theory.
    model_path
        Folder or file that `fw_nnp.nnp.load_calculator` reads.
    theory
        Code and settings of the level of theory, plain JSON.
    empirical
        Name of the empirical potential, for captions.
    settings
        The resolved campaign file, plain JSON.
    test_errors
        ``potential`` and ``eam`` against DFT on the test split.
    stage_errors
        Stage of training -> the same for the potential as it was after that stage.
    energy_shift
        Element -> eV added to the empirical energies (see `errors.fit_shift`).
    properties
        ``potential``, ``dft``, ``eam`` -> lattice and elastic constants.
    property_failures
        The same keys -> why there are none.
    costs
        Stage of the campaign -> time, in the order of the campaign.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    campaign: str
    created: str
    version: str
    dataset_id: str
    model_id: str
    theory_id: str
    model_path: str
    theory: Mapping[str, Any]
    labels: LabelCounts
    test_errors: Mapping[str, Errors]
    description: str = ""
    empirical: str = "EAM"
    settings: Mapping[str, Any] = field(default_factory=dict)
    quarantined: tuple[QuarantinedLabel, ...] = ()
    stage_errors: Mapping[str, Errors] = field(default_factory=dict)
    energy_shift: Mapping[str, float] = field(default_factory=dict)
    properties: Mapping[str, CubicProperties] = field(default_factory=dict)
    property_failures: Mapping[str, str] = field(default_factory=dict)
    histories: tuple[History, ...] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    pool: Pool | None = None
    schema_version: int = EVALUATION_SCHEMA


_ADAPTER = TypeAdapter(Evaluation)


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """The whole evaluation as plain JSON, as the store keeps it."""
    data: dict[str, Any] = _ADAPTER.dump_python(evaluation, mode="json")
    return data


def from_json(data: Mapping[str, Any]) -> Evaluation:
    """The evaluation of `to_json`.

    Raises
    ------
    SpecError
        The document is of another schema.
    """
    schema = data.get("schema_version")
    if schema != EVALUATION_SCHEMA:
        raise SpecError(
            f"evaluation of schema {schema}, this version reads {EVALUATION_SCHEMA}",
            place=str(data.get("campaign", "")),
            remedy="run the evaluation again",
        )
    try:
        return _ADAPTER.validate_python(dict(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"no evaluation: {first['msg']}", place=place) from None


def report_json(evaluation: Evaluation) -> dict[str, Any]:
    """The page's numbers without arrays, as ``fw-nnp report CAMPAIGN --json`` prints them."""
    return {
        "campaign": evaluation.campaign,
        "created": evaluation.created,
        "dataset": evaluation.dataset_id,
        "model": evaluation.model_id,
        "theory": evaluation.theory_id,
        "labels": {
            "total": evaluation.labels.total,
            "by_phase": dict(evaluation.labels.by_phase),
            "by_split": dict(evaluation.labels.by_split),
            "low": evaluation.labels.low,
        },
        "quarantined": [
            {"configuration": q.configuration_id, "class": q.error_class, "reason": q.reason}
            for q in evaluation.quarantined
        ],
        "test_errors": {name: errors_json(e) for name, e in evaluation.test_errors.items()},
        "stage_errors": {name: errors_json(e) for name, e in evaluation.stage_errors.items()},
        "properties": {name: _cubic(p) for name, p in evaluation.properties.items()},
        "property_failures": dict(evaluation.property_failures),
        "costs": {
            name: {"wall_s": cost.wall_s, "core_s": cost.core_s, "items": cost.items}
            for name, cost in evaluation.costs.items()
        },
    }


def errors_json(errors: Errors) -> dict[str, Any]:
    """The scores without the parity data, as plain JSON."""
    return {
        **_group(errors.overall),
        "by_phase": {phase: _group(scores) for phase, scores in errors.by_phase.items()},
    }


def _group(scores: Scores) -> dict[str, Any]:
    return {
        "configurations": scores.configurations,
        "energy_meV_atom": _score(scores.energy_meV_atom),
        "force_meV_A": _score(scores.force_meV_A),
        "stress_GPa": _score(scores.stress_GPa),
    }


def _score(score: Score | None) -> dict[str, float] | None:
    return None if score is None else {"rmse": score.rmse, "mae": score.mae, "count": score.count}


def _cubic(properties: CubicProperties) -> dict[str, float]:
    return {
        "a0_A": properties.a0,
        "C11_GPa": properties.c11,
        "C12_GPa": properties.c12,
        "C44_GPa": properties.c44,
        "B_GPa": properties.bulk_modulus,
        "energy_eV_atom": properties.energy_per_atom,
    }
