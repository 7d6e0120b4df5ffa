"""Records to documents and back: scalars that people filter on at the top, arrays as binary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula

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
def _composition(numbers: bytes) -> tuple[list[str], str, str]:
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
    elements, system, formula = _composition(numbers)
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


def block_documents(
    block: Block, code: str, frames: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Document, Document]]:
    """(configuration, label) documents of the rows of a block.

    Parameters
    ----------
    code
        Of the level of theory, the same in all rows.
    frames
        Per row what a block does not know: ``sampler``, ``temperature``, ``step``, ``time`` and
        the ``provenance`` of the label.
    """
    n, time = block.n_atoms, now()
    volumes, energies = block.volumes.tolist(), block.energies.tolist()
    pbc, shape = block.pbc.tolist(), [n, 3]
    numbers, cells = _rows(block.numbers), _rows(block.cells)
    positions = _rows(block.positions)
    optional: list[dict[str, Any]] = [{} for _ in range(len(block))]
    if block.forces is not None:
        largest = _largest(block.forces).tolist()
        for entry, data, force in zip(optional, _rows(block.forces), largest, strict=True):
            entry |= {"max_force": force, "forces": {"shape": shape, "data": data}}
    if block.stress is not None:
        pressures = (-np.trace(block.stress, axis1=1, axis2=2) / 3 / GPA).tolist()
        for entry, data, pressure in zip(optional, _rows(block.stress), pressures, strict=True):
            entry |= {"pressure": pressure, "stress": {"shape": [3, 3], "data": data}}
    for i, frame in enumerate(frames):
        geometry = {
            "cell": {"shape": [3, 3], "data": cells[i]},
            "positions": {"shape": shape, "data": positions[i]},
            "numbers": numbers[i],
            "pbc": pbc[i],
        }
        common = {
            "schema": SCHEMA,
            **_scalars(numbers[i], volumes[i]),
            "phase": block.phases[i],
            "sampler": frame["sampler"],
            "trajectory": block.trajectories[i],
            "temperature": frame["temperature"],
            "created": time,
        }
        configuration = {
            "_id": block.configuration_ids[i],
            **common,
            "step": frame["step"],
            "time": frame["time"],
            **geometry,
        }
        label = {
            "_id": block.label_ids[i],
            "configuration": block.configuration_ids[i],
            "theory": block.theory_ids[i],
            "code": code,
            **common,
            "energy_per_atom": energies[i] / n,
            "corrections": len(frame["provenance"].get("corrections", ())),
            "energy": energies[i],
            **optional[i],
            **geometry,
            "provenance": dict(frame["provenance"]),
        }
        yield configuration, label


def _rows(values: Any) -> list[bytes]:
    """The bytes of each row."""
    data, size = values.tobytes(), values[0].nbytes
    return [data[start : start + size] for start in range(0, len(data), size)]


def _largest(forces: FloatArray) -> FloatArray:
    """(B,) largest force on an atom."""
    return np.asarray(np.sqrt(np.einsum("bnc,bnc->bn", forces, forces).max(axis=1)))


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
