"""Relabel: one chunk of the selection, and the crystals of the reference, at the high level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import LabelError
from fw_nnp.core.records import Configuration, Frame, Label, LevelOfTheory, Quarantine
from fw_nnp.core.specs import EmpiricalSpec, RelabelSpec
from fw_nnp.dft import Labeler, make_labeler, relabel_many
from fw_nnp.potentials import make_potential
from fw_nnp.properties.elastic import cubic_properties
from fw_nnp.services.deadline import time_is_up
from fw_nnp.services.engines import Programs

from .base import Context, Unfinished
from .collect import freeze

PROGRAMS = {"espresso": "pw", "vasp": "vasp"}


def labeler_of(context: Context) -> Labeler:
    """The labeler of the campaign's level of theory on this worker."""
    return labeler_at(context.spec.relabel, programs=context.programs, base=context.base)


def labeler_at(spec: RelabelSpec, *, programs: Programs, base: Path) -> Labeler:
    """The labeler of a level of theory with the programs of this machine."""
    theory = spec.theory
    if isinstance(theory, EmpiricalSpec):
        lammps = theory.potential.engine == "lammps"
        potential = make_potential(
            theory.potential,
            lmp=programs.require("lmp") if lammps else [],
            base=base,
            potentials_dir=programs.potentials,
        )
        return make_labeler(theory, programs={}, base=base, potential=potential)
    program = PROGRAMS[theory.code]
    return make_labeler(
        theory,
        programs={program: programs.require(program)},
        base=base,
        allow_physics=spec.allow_physics_changes == "relabel_as_new_theory",
    )


def relabel_chunk(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Label every configuration of a chunk that has neither label nor quarantine yet."""
    chunk = context.store.chunk(context.campaign, parameters["chunk"])
    made, failed = _relabel(context, chunk, purpose="training")
    result: dict[str, Any] = {"labels": made, "quarantined": failed}
    if made and any(step["key"] == "collect" for step in context.store.steps(context.campaign)):
        result["dataset"] = freeze(context)  # these labels are late: the next version has them
    return result


def compute_reference(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Lattice constant and elastic constants at the high level, by the path of all labels."""
    theory = context.result("plan")["theory"]

    def evaluate(configurations: Sequence[Configuration]) -> list[Label]:
        frames = [
            Frame(configuration=c, trajectory="reference", sampler="reference", phase="solid")
            for c in configurations
        ]
        context.store.add_frames(frames, campaign=context.campaign)
        ids = [configuration.id for configuration in configurations]
        _relabel(context, ids, purpose="reference")
        found = {
            item.configuration.id: item.label
            for item in context.store.labels({"configuration": {"$in": ids}, "theory": theory})
        }
        missing = [i for i in ids if i not in found]
        if missing:
            raise LabelError(
                "a strained crystal of the reference could not be labelled",
                place=missing[0],
                remedy="its reason is in quarantine: fw-nnp status --quarantine",
            )
        return [found[i] for i in ids]

    return asdict(cubic_properties(evaluate, context.spec.evaluate))


def _relabel(context: Context, ids: Sequence[str], *, purpose: str) -> tuple[int, int]:
    """Label those of `ids` that need it; returns the numbers of labels and failures made.

    Each answer is stored the moment it is there, so a killed worker repeats only what was in
    flight.
    """
    store, campaign = context.store, context.campaign
    labeler = labeler_of(context)
    theory = labeler.theory.id
    todo = store.claim_labels(ids, theory, campaign=campaign, purpose=purpose)
    failed_before = {
        document["configuration"]
        for document in store.quarantined({"configuration": {"$in": todo}, "theory": theory})
    }
    frames = {
        frame.configuration.id: frame
        for frame in store.frames_of([i for i in todo if i not in failed_before])
    }
    over = time_is_up(context.spec.relabel.walltime)
    made = failed = 0
    for outcome in relabel_many(
        [frame.configuration for frame in frames.values()],
        labeler,
        context.directory(context.key),
        side_by_side=context.cores,
        max_attempts=context.spec.relabel.max_attempts,
        min_distance=context.spec.relabel.min_distance,
        stop=lambda: context.stop() or over(),
    ):
        if isinstance(outcome, Quarantine):
            store.add_quarantine([outcome], campaign=campaign)
            failed += 1
            continue
        frame = frames[outcome.configuration_id]
        if outcome.theory_id == theory:
            store.add_labels([(frame, outcome)], campaign=campaign, purpose=purpose)
            made += 1
        else:
            store.add_theory(LevelOfTheory(**outcome.provenance["theory"]))
            store.add_labels([(frame, outcome)], campaign=campaign, purpose="changed theory")
            store.add_quarantine([_elsewhere(outcome, theory)], campaign=campaign)
            failed += 1
    if made + failed < len(frames):
        raise Unfinished({"labels": made, "quarantined": failed})
    return made, failed


def _elsewhere(label: Label, theory: str) -> Quarantine:
    """The question that was answered at another level of theory only."""
    changes = label.provenance["theory"]["settings"]["changed"]
    return Quarantine(
        configuration_id=label.configuration_id,
        theory_id=theory,
        error_class=label.provenance["corrections"][0]["error_class"],
        reason=f"labelled under {label.theory_id} instead: {'; '.join(changes)}",
        evidence={"filed_under": label.theory_id, "corrections": label.provenance["corrections"]},
    )
