"""Any cell in LAMMPS' frame: lower triangular, right-handed, tilts of at most one half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fw_nnp.core.records import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """The way from a cell to LAMMPS' restricted triclinic box and back.

    ``box = shear @ cell @ rotation``: the same lattice, described by other vectors (integer
    `shear`, determinant 1) in other axes (orthogonal `rotation`; it holds a reflection where
    the cell is left-handed, which changes no energy).

    Attributes
    ----------
    box
        (3, 3) Å, lower triangular with a positive diagonal.
    shear, rotation
        (3, 3).
    """

    box: FloatArray
    shear: FloatArray
    rotation: FloatArray

    def cell(self, box: FloatArray) -> FloatArray:
        """The cell that belongs to a later `box` of the same run."""
        return np.linalg.solve(self.shear, box) @ self.rotation.T

    def vectors(self, values: FloatArray) -> FloatArray:
        """(N, 3) positions or forces from LAMMPS' axes to ours."""
        return values @ self.rotation.T

    def tensor(self, values: FloatArray) -> FloatArray:
        """(3, 3) stress from LAMMPS' axes to ours."""
        return self.rotation @ values @ self.rotation.T


def to_frame(cell: FloatArray) -> Frame:
    """LAMMPS' frame of `cell` (rows, Å), by QR and reduction of the tilts."""
    rotation, upper = np.linalg.qr(cell.T)
    signs = np.where(np.diag(upper) < 0.0, -1.0, 1.0)
    rotation, box = rotation * signs, upper.T * signs
    shear = np.eye(3)
    for row, column in ((1, 0), (2, 1), (2, 0)):
        n = np.round(box[row, column] / box[column, column])
        box[row] -= n * box[column]
        shear[row] -= n * shear[column]
    return Frame(box=np.tril(box), shear=shear, rotation=rotation)
