"""Records to documents and back: scalars that people filter on at the top, arrays as binary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula
from bson.int64 import Int64

from fw_nnp.core.blocks import Block
from fw_nnp.core.codec import pack, unpack
from fw_nnp.core.records import (
    Configuration,
    FloatArray,
    Frame,
    Label,
    LabelledConfiguration,
    LevelOfTheory,
    Quarantine,
)
from fw_nnp.core.units import GPA

from .base import Document
from .schema import SCHEMA


def now() -> datetime:
    """The time in UTC, to the millisecond that MongoDB keeps."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


@lru_cache(maxsize=10_000)
def composition(numbers: bytes) -> tuple[list[str], str, str]:
    """Elements, their system and the formula of atomic numbers."""
    symbols = [chemical_symbols[number] for number in numbers]
    elements = sorted(set(symbols))
    return elements, "-".join(elements), str(Formula.from_list(symbols).convert("hill"))


# ---------------------------------------------------------------- configurations


def frame_document(frame: Frame) -> Document:
    """Document of the collection ``configurations``."""
    configuration = frame.configuration
    numbers = configuration.numbers.astype(np.uint8).tobytes()
    return {
        "_id": configuration.id,
        "schema": SCHEMA,
        **_scalars(numbers, configuration.volume),
        "phase": frame.phase,
        "sampler": frame.sampler,
        "trajectory": frame.trajectory,
        "temperature": frame.temperature,
        "step": frame.step,
        "time": frame.time,
        "cell": pack(configuration.cell),
        "positions": pack(configuration.positions),
        "numbers": numbers,
        "pbc": list(configuration.pbc),
        "created": now(),
    }


def _scalars(numbers: bytes, volume: float) -> Document:
    elements, system, formula = composition(numbers)
    return {
        "elements": elements,
        "system": system,
        "formula": formula,
        "n_atoms": len(numbers),
        "volume_per_atom": volume / len(numbers),
    }


def configuration_of(document: Mapping[str, Any]) -> Configuration:
    """The configuration in a document of ``configurations`` or ``labels``."""
    return Configuration(
        cell=unpack(document["cell"]),
        positions=unpack(document["positions"]),
        numbers=np.frombuffer(document["numbers"], dtype=np.uint8),
        pbc=tuple(document["pbc"]),
    )


def frame_of(document: Mapping[str, Any]) -> Frame:
    """The frame of a document of ``configurations``."""
    return Frame(
        configuration=configuration_of(document),
        trajectory=document["trajectory"],
        sampler=document["sampler"],
        step=document["step"],
        time=document["time"],
        temperature=document["temperature"],
        phase=document["phase"],
    )


# ---------------------------------------------------------------- labels


def row_documents(
    block: Block, i: int, code: str, frame: Mapping[str, Any]
) -> tuple[Document, Document]:
    """(configuration, label) documents of row `i` of a block.

    Parameters
    ----------
    code
        Of the level of theory.
    frame
        What a block does not know: ``sampler``, ``temperature`` (K), ``step``, ``time`` (fs) and
        the ``provenance`` of the label.
    """
    n, energy = block.n_atoms, float(block.energies[i])
    numbers = block.numbers[i].tobytes()
    common = {
        "schema": SCHEMA,
        **_scalars(numbers, float(block.volumes[i])),
        "phase": block.phases[i],
        "sampler": frame["sampler"],
        "trajectory": block.trajectories[i],
        "temperature": float(frame["temperature"]),
        "created": now(),
    }
    geometry = {
        "cell": pack(block.cells[i]),
        "positions": pack(block.positions[i]),
        "numbers": numbers,
        "pbc": block.pbc[i].tolist(),
    }
    configuration = {
        "_id": block.configuration_ids[i],
        **common,
        "step": Int64(frame["step"]),
        "time": float(frame["time"]),
        **geometry,
    }
    label = {
        "_id": block.label_ids[i],
        "configuration": block.configuration_ids[i],
        "theory": block.theory_ids[i],
        "code": code,
        **common,
        "energy_per_atom": energy / n,
        "corrections": len(frame["provenance"].get("corrections", ())),
        "energy": energy,
    }
    if block.forces is not None:
        label["max_force"] = float(largest_force(block.forces[i]))
        label["forces"] = pack(block.forces[i])
    if block.stress is not None:
        label["pressure"] = float(pressure(block.stress[i]))
        label["stress"] = pack(block.stress[i])
    return configuration, label | geometry | {"provenance": dict(frame["provenance"])}


def largest_force(forces: FloatArray) -> FloatArray:
    """(...) largest force on an atom, of (..., N, 3)."""
    return np.asarray(np.sqrt(np.einsum("...nc,...nc->...n", forces, forces).max(axis=-1)))


def pressure(stress: FloatArray) -> FloatArray:
    """(...) GPa, of (..., 3, 3) eV/Å³."""
    return np.asarray(-np.trace(stress, axis1=-2, axis2=-1) / 3 / GPA)


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


def labelled_of(document: Mapping[str, Any]) -> LabelledConfiguration:
    """Configuration and label of a document of ``labels``."""
    return LabelledConfiguration(
        configuration=configuration_of(document),
        label=label_of(document),
        trajectory=document["trajectory"],
        phase=document["phase"],
    )


# ---------------------------------------------------------------- theories, quarantine


def theory_document(theory: LevelOfTheory) -> Document:
    """Document of the collection ``theories``."""
    return {
        "_id": theory.id,
        "schema": SCHEMA,
        "code": theory.code,
        "settings": dict(theory.settings),
        "created": now(),
    }


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
