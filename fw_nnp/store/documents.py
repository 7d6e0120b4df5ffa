"""Records to documents and back: scalars that people filter on at the top, arrays as binary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fw_nnp.core.codec import pack, unpack
from fw_nnp.core.records import (
    SCHEMA,
    Configuration,
    Frame,
    Label,
    LevelOfTheory,
    Quarantine,
)
from fw_nnp.core.units import GPA

from .base import Document


def now() -> datetime:
    """The time in UTC, to the millisecond that MongoDB keeps."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def frame_document(frame: Frame) -> Document:
    """Document of the collection ``configurations``."""
    configuration = frame.configuration
    return {
        "_id": configuration.id,
        "schema": SCHEMA,
        "elements": configuration.elements,
        "formula": configuration.formula,
        "n_atoms": configuration.n_atoms,
        "volume_per_atom": configuration.volume / configuration.n_atoms,
        "trajectory": frame.trajectory,
        "sampler": frame.sampler,
        "step": frame.step,
        "time": frame.time,
        "temperature": frame.temperature,
        "phase": frame.phase,
        "cell": pack(configuration.cell),
        "positions": pack(configuration.positions),
        "numbers": [int(number) for number in configuration.numbers],
        "pbc": list(configuration.pbc),
        "created": now(),
    }


def frame_of(document: Mapping[str, Any]) -> Frame:
    """The frame of a document of ``configurations``."""
    return Frame(
        configuration=Configuration(
            cell=unpack(document["cell"]),
            positions=unpack(document["positions"]),
            numbers=np.array(document["numbers"]),
            pbc=tuple(document["pbc"]),
        ),
        trajectory=document["trajectory"],
        sampler=document["sampler"],
        step=document["step"],
        time=document["time"],
        temperature=document["temperature"],
        phase=document["phase"],
    )


def theory_document(theory: LevelOfTheory) -> Document:
    """Document of the collection ``theories``."""
    return {
        "_id": theory.id,
        "schema": SCHEMA,
        "code": theory.code,
        "settings": dict(theory.settings),
        "created": now(),
    }


def label_document(label: Label, frame: Frame, code: str) -> Document:
    """Document of the collection ``labels``; its scalars are described in `query.FIELDS`."""
    configuration = frame.configuration
    n = configuration.n_atoms
    document: Document = {
        "_id": label.id,
        "schema": SCHEMA,
        "configuration": label.configuration_id,
        "theory": label.theory_id,
        "code": code,
        "elements": configuration.elements,
        "formula": configuration.formula,
        "n_atoms": n,
        "phase": frame.phase,
        "sampler": frame.sampler,
        "trajectory": frame.trajectory,
        "temperature": frame.temperature,
        "volume_per_atom": configuration.volume / n,
        "energy_per_atom": label.energy / n,
        "corrections": len(label.provenance.get("corrections", ())),
        "energy": label.energy,
        "provenance": dict(label.provenance),
        "created": now(),
    }
    if label.forces is not None:
        document["forces"] = pack(label.forces)
        document["max_force"] = float(np.linalg.norm(label.forces, axis=1).max())
    if label.stress is not None:
        document["stress"] = pack(label.stress)
        document["pressure"] = -float(np.trace(label.stress)) / 3 / GPA
    return document


def label_of(document: Mapping[str, Any]) -> Label:
    """The label of a document of ``labels``."""
    return Label(
        configuration_id=document["configuration"],
        theory_id=document["theory"],
        energy=document["energy"],
        forces=unpack(document["forces"]) if "forces" in document else None,
        stress=unpack(document["stress"]) if "stress" in document else None,
        provenance=document["provenance"],
    )


def quarantine_document(record: Quarantine) -> Document:
    """Document of the collection ``quarantine``."""
    return {
        "_id": record.id,
        "schema": SCHEMA,
        "configuration": record.configuration_id,
        "theory": record.theory_id,
        "error_class": record.error_class,
        "reason": record.reason,
        "evidence": dict(record.evidence),
        "created": now(),
    }
