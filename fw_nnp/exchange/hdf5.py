"""HDF5 in the style of the ANI data sets, with cells and stress.

Any group that holds ``coordinates`` (B, N, 3) and ``species`` is a block of B frames of the
same N atoms: ``species`` or ``atomic_numbers`` (N,) names or atomic numbers, ``energies`` (B,),
and where there are any ``cell`` (B, 3, 3), ``forces`` (B, N, 3), ``virial`` or ``stress`` (B, 6)
or (B, 3, 3), ``trajectory`` and ``phase`` (B,) texts. A block without cells is not periodic. As
in ANI-1x, a row whose energy is NaN was not computed; it is passed over. Files written here carry
their description as an attribute; others need one.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.data import chemical_symbols

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import LabelledConfiguration

from .description import ASE_UNITS, FileDescription
from .frame import FileFrame

log = logging.getLogger(__name__)

READ_NAMES: Mapping[str, tuple[str, ...]] = {
    "energy": ("energies",),
    "forces": ("forces",),
    "stress": ("virial", "stress"),
}
SPECIES = ("species", "atomic_numbers")
BLOCK = 1_000  # frames held in memory per composition while writing


def embedded_description(path: Path) -> Any:
    """The description inside a file that `write` made."""
    with h5py.File(path, "r") as file:
        text = file.attrs.get("description")
    return None if text is None else json.loads(str(text))


def read(path: Path, meaning: FileDescription) -> Iterator[FileFrame]:
    """Frames of all blocks, in the order of the groups' names."""
    with h5py.File(path, "r") as file:
        paths: list[str] = []
        file.visititems(lambda name, node: paths.append(name) if _is_block(node) else None)
        if not paths:
            raise SpecError(
                "no group holds 'coordinates' and 'species'",
                remedy=f"this is not HDF5 in ANI style; at its top are: {', '.join([*file][:10])}",
            )
        for block in paths:
            yield from _frames(file[block], meaning.names)


def _is_block(node: Any) -> bool:
    named = isinstance(node, h5py.Group) and any(name in node for name in SPECIES)
    return named and "coordinates" in node


def _frames(block: Any, names: Mapping[Any, str]) -> Iterator[FileFrame]:
    def column(*candidates: str) -> Any:
        found = next((name for name in candidates if name in block), None)
        if found is not None and len(block[found]) != len(block["coordinates"]):
            raise SpecError(
                f"{block.name}/{found} has {len(block[found])} rows, "
                f"coordinates {len(block['coordinates'])}"
            )
        return None if found is None else block[found][()]

    def quantity(name: str) -> Any:
        return column(*((names[name],) if name in names else READ_NAMES[name]))

    species = _species(next(block[name] for name in SPECIES if name in block)[()])
    if len(species) != block["coordinates"].shape[1]:
        raise SpecError(
            f"{block.name} has {len(species)} species for {block['coordinates'].shape[1]} atoms"
        )
    energy, forces, stress = (quantity(name) for name in READ_NAMES)
    absent = _not_computed(block, energy)
    cell, trajectory, phase = (column(name) for name in ("cell", "trajectory", "phase"))
    pbc = [bool(axis) for axis in block.attrs.get("pbc", [cell is not None] * 3)]
    for i, positions in enumerate(block["coordinates"][()]):
        if absent[i]:
            continue
        yield FileFrame(
            species=species,
            cell=np.zeros((3, 3)) if cell is None else cell[i],
            positions=positions,
            pbc=(pbc[0], pbc[1], pbc[2]),
            energy=None if energy is None else energy[i],
            forces=None if forces is None else forces[i],
            stress=None if stress is None else stress[i],
            trajectory="" if trajectory is None else trajectory[i].decode(),
            phase="" if phase is None else phase[i].decode(),
            keys=tuple(block),
        )


def _not_computed(block: Any, energy: Any) -> Any:
    """(B,) whether the energy of a row is NaN."""
    absent = np.zeros(len(block["coordinates"]), dtype=bool)
    if energy is not None and energy.ndim == 1 and energy.dtype.kind == "f":
        absent = np.isnan(energy)
    if absent.any():
        log.warning(
            "%s: %d of %d rows have no energy (NaN); passed over",
            block.name, absent.sum(), len(absent),
        )  # fmt: skip
    return absent


def _species(values: Any) -> list[str]:
    if values.ndim != 1:
        raise SpecError("species of every frame on its own; one list per block is needed")
    if np.issubdtype(values.dtype, np.integer):
        return [chemical_symbols[number] for number in values]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def write(path: Path, items: Iterable[LabelledConfiguration]) -> int:
    """Blocks of equal composition in eV, Å and eV/Å³; returns the number of frames.

    Frames of one composition keep their order; compositions follow each other.
    """
    blocks: defaultdict[Any, list[LabelledConfiguration]] = defaultdict(list)
    written = 0
    with h5py.File(path, "w") as file:
        file.attrs["description"] = ASE_UNITS.model_dump_json()
        for item in items:
            block = blocks[_block_key(item)]
            block.append(item)
            if len(block) == BLOCK:
                written += _flush(file, block)
        for block in blocks.values():
            written += _flush(file, block)
    return written


def _block_key(item: LabelledConfiguration) -> tuple[Any, ...]:
    """Frames with the same key fit into one rectangular block."""
    configuration, label = item.configuration, item.label
    return (
        configuration.numbers.tobytes(),
        configuration.pbc,
        label.forces is None,
        label.stress is None,
    )


def _flush(file: Any, items: list[LabelledConfiguration]) -> int:
    """Write `items` as the next block and empty the list; returns how many there were."""
    if not items:
        return 0
    first = items[0]
    group = file.create_group(f"{len(file):06d}")
    group.attrs["pbc"] = first.configuration.pbc
    group["species"] = np.array(first.configuration.symbols, dtype="S2")
    group["coordinates"] = np.stack([item.configuration.positions for item in items])
    group["cell"] = np.stack([item.configuration.cell for item in items])
    group["energies"] = np.array([item.label.energy for item in items])
    if first.label.forces is not None:
        group["forces"] = np.array([item.label.forces for item in items])
    if first.label.stress is not None:
        group["stress"] = np.array([item.label.stress for item in items])
    group["trajectory"] = [item.trajectory for item in items]
    group["phase"] = [item.phase for item in items]
    count = len(items)
    items.clear()
    return count
