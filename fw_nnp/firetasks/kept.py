"""Labels that a command makes beside the store; one that is killed and repeated keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from fw_nnp.core.records import Configuration, Label, Quarantine
from fw_nnp.core.specs import RelabelSpec
from fw_nnp.dft import relabel_many
from fw_nnp.services.engines import find_programs

from .relabel import labeler_at

T = TypeVar("T")
Told = Callable[[int, int], None]
"""Gets how many are answered, and of how many."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a level of theory answered.

    Attributes
    ----------
    theory
        Its id.
    labels
        Configuration id -> label.
    failed
        The others, with their reasons.
    """

    theory: str
    labels: dict[str, Label]
    failed: tuple[Quarantine, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Class and reason of what failed, each once."""
        return tuple(dict.fromkeys(f"{one.error_class}: {one.reason}" for one in self.failed))


def answers_at(
    spec: RelabelSpec,
    configurations: Sequence[Configuration],
    *,
    base: Path,
    folder: Path,
    cores: int,
    told: Told | None = None,
) -> Answers:
    """Label `configurations`, except those that have a label in `folder` already.

    Parameters
    ----------
    folder
        ``labels/THEORY`` holds a file per label, ``scratch`` the runs that failed.
    """
    labeler = labeler_at(spec, programs=find_programs(), base=base)
    theory = labeler.theory.id
    place = folder / "labels" / theory
    asked = {configuration.id: configuration for configuration in configurations}
    kept = {id_: label for id_ in asked if (label := _read(place / f"{id_}.json", id_, theory))}
    failed = []
    outcomes = relabel_many(
        [configuration for id_, configuration in asked.items() if id_ not in kept],
        labeler,
        folder / "scratch",
        side_by_side=cores,
        max_attempts=spec.max_attempts,
        min_distance=spec.min_distance,
        stop=lambda: False,
    )
    if told:
        told(len(kept), len(asked))
    for outcome in outcomes:
        if isinstance(outcome, Quarantine):
            failed.append(outcome)
        elif outcome.theory_id != theory:  # a repair changed the physics: no answer to this
            failed.append(_elsewhere(outcome, theory))
        else:
            kept[outcome.configuration_id] = outcome
            _write(place / f"{outcome.configuration_id}.json", outcome)
        if told:
            told(len(kept) + len(failed), len(asked))
    return Answers(theory=theory, labels=kept, failed=tuple(failed))


def evenly(items: Sequence[T], count: int) -> list[T]:
    """`count` of `items`, or all where there are fewer, evenly spread."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _elsewhere(label: Label, theory: str) -> Quarantine:
    return Quarantine(
        configuration_id=label.configuration_id,
        theory_id=theory,
        error_class="other_theory",
        reason="only a repair that changes the physics gave an answer",
    )


def _write(path: Path, label: Label) -> None:
    """As a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "energy": label.energy,
        "forces": None if label.forces is None else label.forces.tolist(),
        "stress": None if label.stress is None else label.stress.tolist(),
        "provenance": dict(label.provenance),
    }
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(document))
    draft.replace(path)


def _read(path: Path, configuration: str, theory: str) -> Label | None:
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    forces, stress = found["forces"], found["stress"]
    return Label(
        configuration_id=configuration,
        theory_id=theory,
        energy=found["energy"],
        forces=None if forces is None else np.array(forces),
        stress=None if stress is None else np.array(stress),
        provenance=found["provenance"],
    )
