"""One frame as a file holds it, and its translation into our units and signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import (
    Configuration,
    FloatArray,
    Label,
    LabelledConfiguration,
    full_stress,
)

from .description import VOIGT_NAMES, FileDescription, StressDescription, force_unit, unit

AGREEMENT = 0.01  # of the largest component: files round their numbers


@dataclass(frozen=True, kw_only=True)
class FileFrame:
    """Numbers as they stand in the file: its units, its signs, its species.

    Attributes
    ----------
    stress
        (6,), (9,) or (3, 3); stress or virial as the description says.
    virial
        The same, where the file calls it so.
    keys
        Names of what the file has, for messages.
    """

    species: Sequence[str]
    cell: ArrayLike
    positions: ArrayLike
    pbc: tuple[bool, bool, bool]
    energy: float | None
    forces: ArrayLike | None
    stress: ArrayLike | None
    virial: ArrayLike | None = None
    trajectory: str = ""
    phase: str = ""
    keys: tuple[str, ...] = ()


def with_stress(frame: FileFrame) -> FileFrame:
    """A frame in ASE's units, with the stress that its virial states where it has no other.

    A virial is -V times the stress, in eV, for GAP, MACE, NequIP, GPUMD and DeePMD-kit alike.
    Atoms without a volume have none, and NaN for all components says that it is not known.

    Raises
    ------
    SpecError
        Stress and virial contradict each other, or the virial is not a full matrix.
    """
    volume = abs(np.linalg.det(np.asarray(frame.cell, dtype=float)))
    stress, virial = _known(frame.stress), _known(frame.virial)
    if virial is None or volume == 0.0:
        return replace(frame, stress=stress if volume else None, virial=None)
    if np.size(virial) != 9:
        raise SpecError(
            f"a virial of {np.size(virial)} numbers, whose order is not known",
            remedy="state it in a description: stress: {quantity: virial, order: ...}",
        )
    stated = -virial.reshape(3, 3) / volume
    if stress is not None:
        given = full_stress(stress) if stress.size == 6 else stress.reshape(3, 3)
        scale = np.abs(stated).max() + 1e-6
        if np.abs(given - stated).max() > AGREEMENT * scale:
            same = "its sign is wrong" if np.abs(given + stated).max() < AGREEMENT * scale else ""
            raise SpecError(
                f"stress and virial contradict each other{same and f': {same}'}",
                remedy="say which to believe in a description: names: {stress: ...}",
            )
        stated = given
    return replace(frame, stress=stated, virial=None)


def _known(values: ArrayLike | None) -> FloatArray | None:
    if values is None or (numbers := np.asarray(values, dtype=float)).size == 0:
        return None
    return None if np.isnan(numbers).all() else numbers


def translate(
    frame: FileFrame, description: FileDescription, theory_id: str, source: dict[str, str | int]
) -> LabelledConfiguration:
    """`frame` in eV and Å, stress positive in tension.

    A frame without a trajectory is a trajectory of its own, named by its configuration's id:
    a split then keeps only equal configurations together, and whoever knows better says so
    in the file.
    """
    configuration = _configuration(frame, description)
    if frame.energy is None:
        found = f" among {', '.join(frame.keys)}" if frame.keys else ""
        raise SpecError(
            f"no energy{found}",
            remedy="say in a description which entry holds it: names: {energy: ...}",
        )
    label = Label(
        configuration_id=configuration.id,
        theory_id=theory_id,
        energy=float(frame.energy) * unit(description.energy, "energy"),
        forces=_forces(frame, description),
        stress=_stress(frame, description.stress, configuration.volume),
        provenance={"source": source},
    )
    return LabelledConfiguration(
        configuration=configuration,
        label=label,
        trajectory=frame.trajectory or configuration.id,
        phase=frame.phase,
    )


def _configuration(frame: FileFrame, description: FileDescription) -> Configuration:
    symbols = [description.species.get(name, name) for name in frame.species]
    unknown = sorted(set(symbols) - set(atomic_numbers))
    if unknown:
        raise SpecError(
            f"'{unknown[0]}' is no chemical element",
            remedy=f"name its element in the file's description: species: {{{unknown[0]}: ...}}",
        )
    length = unit(description.length, "length")
    return Configuration(
        cell=np.asarray(frame.cell, dtype=float) * length,
        positions=np.asarray(frame.positions, dtype=float) * length,
        numbers=np.array([atomic_numbers[symbol] for symbol in symbols]),
        pbc=frame.pbc,
    )


def _forces(frame: FileFrame, description: FileDescription) -> FloatArray | None:
    if frame.forces is None or description.forces is None:
        return None
    forces = np.asarray(frame.forces, dtype=float) * force_unit(description.forces)
    if forces.shape != (len(frame.species), 3):
        raise SpecError(f"forces of shape {forces.shape} for {len(frame.species)} atoms")
    return forces


def _stress(
    frame: FileFrame, description: StressDescription | None, volume: float
) -> FloatArray | None:
    """(3, 3) eV/Å³, positive in tension."""
    values = frame.stress
    if description is not None and description.quantity == "virial" and frame.virial is not None:
        values = frame.virial
    if values is None or description is None:
        return None
    numbers = np.asarray(values, dtype=float).ravel()
    if numbers.shape == (6,):
        order = description.order.split()
        stress = full_stress([numbers[order.index(name)] for name in VOIGT_NAMES])
    elif numbers.shape == (9,):
        matrix = numbers.reshape(3, 3)
        stress = 0.5 * (matrix + matrix.T)
    else:
        raise SpecError(f"a stress of {numbers.size} numbers, where 6 or 9 are needed")
    if description.quantity == "virial":
        if volume == 0.0:
            raise SpecError("a virial, but the cell has no volume to divide by")
        stress = stress * (unit(description.unit, "energy") / volume)
    else:
        stress = stress * unit(description.unit, "pressure")
    return stress if description.positive_in == "tension" else -stress
