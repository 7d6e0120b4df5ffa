"""Labelled configurations column by column: B cells of N atoms each, hashed and checked at once.

What `records` says of one configuration holds for every row; the ids are the same.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import SpecError
from .hashing import canonical_array
from .records import Configuration, FloatArray, Label, LabelledConfiguration


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """B labelled configurations of N atoms each.

    Attributes
    ----------
    label_ids, configuration_ids, theory_ids
        (B,) ids.
    numbers
        (B, N) atomic numbers.
    cells, positions, pbc
        (B, 3, 3) Å, (B, N, 3) Å, (B, 3).
    energies
        (B,) eV.
    forces, stress
        (B, N, 3) eV/Å and (B, 3, 3) eV/Å³, or None for all rows.
    trajectories, phases
        (B,) texts, perhaps empty.
    """

    label_ids: Sequence[str]
    configuration_ids: Sequence[str]
    theory_ids: Sequence[str]
    numbers: NDArray[np.uint8]
    cells: FloatArray
    positions: FloatArray
    pbc: NDArray[np.bool_]
    energies: FloatArray
    forces: FloatArray | None
    stress: FloatArray | None
    trajectories: Sequence[str]
    phases: Sequence[str]

    @classmethod
    def of_arrays(
        cls,
        *,
        theory_id: str,
        numbers: ArrayLike,
        cells: ArrayLike,
        positions: ArrayLike,
        energies: ArrayLike,
        forces: ArrayLike | None = None,
        stress: ArrayLike | None = None,
        pbc: ArrayLike = True,
        trajectories: Sequence[str] = (),
        phases: Sequence[str] = (),
    ) -> Block:
        """Check arrays and give every row its ids; `numbers` and `pbc` may be one for all rows.

        Raises
        ------
        SpecError
            Wrong shape, NaN or infinity, or no atomic number.
        """
        places = np.ascontiguousarray(positions, dtype=np.float64)
        if places.ndim != 3 or 0 in places.shape[1:]:
            raise SpecError(f"shape {places.shape} where (B, N, 3) is needed", place="positions")
        b, n = places.shape[:2]
        given = np.asarray(numbers)
        if given.size == 0 or given.min() < 1 or given.max() > 118:
            raise SpecError("atomic numbers run from 1 to 118", place="numbers")
        names = {"trajectories": trajectories, "phases": phases}
        for name, texts in names.items():
            if len(texts) not in (0, b):
                raise SpecError(f"{len(texts)} texts for {b} rows", place=name)
        block_numbers = np.ascontiguousarray(np.broadcast_to(given.astype(np.uint8), (b, n)))
        block_cells = _checked(cells, (b, 3, 3), "cells")
        block_pbc = np.ascontiguousarray(np.broadcast_to(np.asarray(pbc, dtype=bool), (b, 3)))
        ids = configuration_ids(
            block_cells, _checked(places, (b, n, 3), "positions"), block_numbers, block_pbc
        )
        return cls(
            label_ids=[label_id_of(id_, theory_id) for id_ in ids],
            configuration_ids=ids,
            theory_ids=[theory_id] * b,
            numbers=block_numbers,
            cells=block_cells,
            positions=places,
            pbc=block_pbc,
            energies=_checked(energies, (b,), "energies"),
            forces=None if forces is None else _checked(forces, (b, n, 3), "forces"),
            stress=None if stress is None else _checked(stress, (b, 3, 3), "stress"),
            trajectories=list(trajectories) or ids,
            phases=list(phases) or [""] * b,
        )

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def n_atoms(self) -> int:
        """N."""
        return int(self.numbers.shape[1])

    @cached_property
    def volumes(self) -> FloatArray:
        """(B,) Å³."""
        return np.asarray(np.abs(np.linalg.det(self.cells)))

    def row(self, i: int) -> LabelledConfiguration:
        """One row as records."""
        return LabelledConfiguration(
            configuration=Configuration(
                cell=self.cells[i],
                positions=self.positions[i],
                numbers=self.numbers[i],
                pbc=(bool(self.pbc[i, 0]), bool(self.pbc[i, 1]), bool(self.pbc[i, 2])),
            ),
            label=Label(
                configuration_id=self.configuration_ids[i],
                theory_id=self.theory_ids[i],
                energy=float(self.energies[i]),
                forces=None if self.forces is None else self.forces[i],
                stress=None if self.stress is None else self.stress[i],
            ),
            trajectory=self.trajectories[i],
            phase=self.phases[i],
        )


def _checked(values: ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.shape != shape:
        raise SpecError(f"shape {array.shape} where {shape} is needed", place=name)
    if not np.isfinite(array).all():
        raise SpecError("holds NaN or infinity", place=name)
    return array


def configuration_ids(
    cells: FloatArray, positions: FloatArray, numbers: NDArray[np.uint8], pbc: NDArray[np.bool_]
) -> list[str]:
    """``cfg-...`` of every row: what `Configuration.id` is for one."""
    b = len(cells)
    parts = [
        canonical_array(cells).reshape(b, -1).view(np.uint8),
        canonical_array(positions).reshape(b, -1).view(np.uint8),
        numbers.astype(np.int64).view(np.uint8),
        pbc.view(np.uint8),
    ]
    columns = []
    for part in parts:
        length = np.frombuffer(part.shape[1].to_bytes(8, "little"), dtype=np.uint8)
        columns += [np.broadcast_to(length, (b, 8)), part]
    return ["cfg-" + hashlib.sha256(row).hexdigest()[:32] for row in np.hstack(columns)]


def label_id_of(configuration_id: str, theory_id: str) -> str:
    """`records.label_id`, without the detour over JSON."""
    text = f'["{configuration_id}","{theory_id}"]'.encode()
    return "lbl-" + hashlib.sha256(len(text).to_bytes(8, "little") + text).hexdigest()[:32]


def blocks_of(items: Iterable[LabelledConfiguration], size: int) -> Iterator[Block]:
    """The same items as blocks of at most `size` rows; memory holds one block per shape."""
    open_: defaultdict[Hashable, list[LabelledConfiguration]] = defaultdict(list)
    for item in items:
        label = item.label
        key = (item.configuration.n_atoms, label.forces is None, label.stress is None)
        open_[key].append(item)
        if len(open_[key]) == size:
            yield block_of(open_.pop(key))
    for rest in open_.values():
        yield block_of(rest)


def block_of(items: Sequence[LabelledConfiguration]) -> Block:
    """One block of items that agree in the number of atoms and in what their labels have."""
    labels = [item.label for item in items]
    cells = [item.configuration for item in items]
    first = labels[0]
    return Block(
        label_ids=[label.id for label in labels],
        configuration_ids=[label.configuration_id for label in labels],
        theory_ids=[label.theory_id for label in labels],
        numbers=np.stack([c.numbers for c in cells]).astype(np.uint8),
        cells=np.stack([c.cell for c in cells]),
        positions=np.stack([c.positions for c in cells]),
        pbc=np.array([c.pbc for c in cells]),
        energies=np.array([label.energy for label in labels]),
        forces=None if first.forces is None else np.array([label.forces for label in labels]),
        stress=None if first.stress is None else np.array([label.stress for label in labels]),
        trajectories=[item.trajectory for item in items],
        phases=[item.phase for item in items],
    )
