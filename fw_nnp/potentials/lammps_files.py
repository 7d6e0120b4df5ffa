"""The files between LAMMPS and us: dumps with 17 digits, and the table in the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fw_nnp.core.records import FloatArray, IntArray

THERMO = "step temp pe c_static[1] c_static[2] c_static[3] c_static[4] c_static[5] c_static[6]"
"""Columns of the log that `read_thermo` expects; pressures in bar, xx yy zz xy xz yz."""

_BAR = 1.0 / 1.6021765e6  # eV/Å³, LAMMPS' own constant, so that stress is dE/d(strain) of its E


@dataclass(frozen=True, kw_only=True, eq=False)
class DumpFrame:
    """One snapshot of a dump: `box` (3, 3) lower triangular, Å; `columns` (N, n) by atom id.

    Positions among the columns count from the corner of the box.
    """

    step: int
    box: FloatArray
    columns: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Thermo:
    """One line of the log: K, eV and (3, 3) eV/Å³, positive in tension, in LAMMPS' axes."""

    temperature: float
    energy: float
    stress: FloatArray


def dump_text(step: int, box: FloatArray, types: IntArray, positions: FloatArray) -> str:
    """A dump snapshot of (N, 3) `positions` in the restricted triclinic `box`."""
    xy, xz, yz = box[1, 0], box[2, 0], box[2, 1]
    low = (min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0)
    high = (box[0, 0] + max(0.0, xy, xz, xy + xz), box[1, 1] + max(0.0, yz), box[2, 2])
    lines = ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(types))]
    lines.append("ITEM: BOX BOUNDS xy xz yz pp pp pp")
    lines += [
        f"{a:.17g} {b:.17g} {t:.17g}" for a, b, t in zip(low, high, (xy, xz, yz), strict=True)
    ]
    lines.append("ITEM: ATOMS id type x y z")
    lines += [
        f"{i + 1} {kind} {x:.17g} {y:.17g} {z:.17g}"
        for i, (kind, (x, y, z)) in enumerate(zip(types, positions.tolist(), strict=True))
    ]
    return "\n".join(lines) + "\n"


def read_dump(path: Path, columns: Sequence[str]) -> Iterator[DumpFrame]:
    """Snapshots of a dump whose atoms are sorted by id and have `columns`.

    Raises
    ------
    ValueError
        The file is truncated or holds other columns.
    """
    for text in path.read_text().split("ITEM: TIMESTEP\n")[1:]:
        head, _, body = text.partition("ITEM: ATOMS ")
        names, _, table = body.partition("\n")
        if names.split() != list(columns):
            raise ValueError(f"dump holds '{names.strip()}' where '{' '.join(columns)}' is needed")
        lines = head.splitlines()
        bounds = np.array([line.split() for line in lines[4:7]], dtype=np.float64)
        values = np.array(table.split(), dtype=np.float64).reshape(int(lines[2]), len(columns))
        box, corner = _box(bounds)
        if "x" in names.split():
            values[:, columns.index("x") : columns.index("x") + 3] -= corner
        yield DumpFrame(step=int(lines[0]), box=box, columns=values)


def _box(bounds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Box and its corner from the bounding box (3, 3): low, high, tilt per line."""
    (xlo, xhi, xy), (ylo, yhi, xz), (zlo, zhi, yz) = bounds
    xlo -= min(0.0, xy, xz, xy + xz)
    xhi -= max(0.0, xy, xz, xy + xz)
    ylo -= min(0.0, yz)
    yhi -= max(0.0, yz)
    box = np.array([[xhi - xlo, 0.0, 0.0], [xy, yhi - ylo, 0.0], [xz, yz, zhi - zlo]])
    return box, np.array([xlo, ylo, zlo])


def read_thermo(lines: Iterable[str]) -> dict[int, Thermo]:
    """Step -> line of the tables with the columns of `THERMO` in a log."""
    width = len(THERMO.split())
    found: dict[int, Thermo] = {}
    for line in lines:
        words = line.split()
        if len(words) != width or not words[0].isdigit():
            continue
        temperature, energy, xx, yy, zz, xy, xz, yz = map(float, words[1:])
        pressure = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        found[int(words[0])] = Thermo(
            temperature=temperature, energy=energy, stress=-_BAR * pressure
        )
    return found
