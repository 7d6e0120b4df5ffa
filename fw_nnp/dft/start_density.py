"""Start densities for pw.x, learned from the densities that it has converged.

pw.x starts from a superposition of isolated atoms. In a crystal or a melt the share of an atom in
the density is another one, but nearly the same from cell to cell: to first order in the
pseudopotential it depends on |G| alone (linear response; W. A. Harrison, Pseudopotentials in the
Theory of Metals, 1966),

    rho(G) = 1/V sum_i f_s(i)(|G|) exp(-i G r_i)

`StartDensity` fits the f of each element to the densities of finished cells and writes the density
that the next one starts from. That saves steps; where the cycle ends is decided by conv_thr.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from scipy.interpolate import BSpline
from scipy.io import FortranFile

from fw_nnp.core.records import Configuration, FloatArray
from fw_nnp.core.units import BOHR

log = logging.getLogger(__name__)

FILE = "charge-density.dat"
SPACING = 0.45  # 1/bohr between two knots of f
BLOCK = 1024  # G-vectors at a time
STIFFNESS = 1e-6  # of f, against the data: bridges what the cells have no G-vectors for
DEGREE = 3


class StartDensity:
    """The density of the next cell from those of the cells before; safe between threads.

    Parameters
    ----------
    ecutrho
        Cutoff of the density, Ry.
    valence
        Element -> number of valence electrons, which f(0) is.
    """

    def __init__(self, ecutrho: float, valence: Mapping[str, float]) -> None:
        self.ecutrho = ecutrho
        self.valence = dict(valence)
        # One knot more than it takes: pw.x's own constants put some G a little further out.
        inner = np.arange(0.0, np.sqrt(ecutrho) + 2.0 * SPACING, SPACING)
        self._knots = np.concatenate([[0.0] * DEGREE, inner, [inner[-1]] * DEGREE])
        self._n = len(self._knots) - DEGREE - 1
        size = self._n * len(self.valence)
        self._normal, self._right = np.zeros((size, size)), np.zeros(size)
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def learn(self, configuration: Configuration, save: Path) -> None:
        """Take in the converged density in `save`, pw.x's folder ``prefix.save``.

        What cannot be read teaches nothing: a pw.x that was built with HDF5 writes another file.
        """
        try:
            miller, density = _read(save / FILE)
        except (OSError, ValueError) as error:  # scipy's own are OSErrors
            log.info("no density to learn from in %s: %s", save, error)
            return
        reciprocal, volume = _reciprocal(configuration), _volume(configuration)
        normal, right = np.zeros_like(self._normal), np.zeros_like(self._right)
        for part in _blocks(len(miller)):
            vectors = miller[part] @ reciprocal
            lengths = np.linalg.norm(vectors, axis=1)
            # The Hartree energy of the error, which is what pw.x calls the accuracy of a step.
            weight = np.sqrt(volume) / np.where(lengths > 0.0, lengths, np.inf)
            rows = _as_real(self._rows(configuration, vectors) * weight)
            normal += _product("ig,jg->ij", rows, rows)
            right += _product("ig,g->i", rows, _as_real(density[part] * weight))
        with self._lock:
            self._normal += normal
            self._right += right
            self._known |= set(configuration.elements)

    def write(self, configuration: Configuration, save: Path) -> bool:
        """Write the density to start from into `save`; False where an element is still unknown."""
        with self._lock:
            if not self._known.issuperset(configuration.elements):
                return False
            normal, right = self._normal.copy(), self._right.copy()
        shares = self._solved(normal, right)
        reciprocal = _reciprocal(configuration)
        miller = _half_sphere(configuration, np.sqrt(self.ecutrho))
        density = np.concatenate(
            [
                _product("i,ig->g", shares, self._rows(configuration, miller[part] @ reciprocal))
                for part in _blocks(len(miller))
            ]
        )
        electrons = sum(self.valence[symbol] for symbol in configuration.symbols)
        density[0] = electrons / _volume(configuration)
        save.mkdir(parents=True, exist_ok=True)
        _write(save / FILE, reciprocal, miller, density)
        return True

    def _rows(self, configuration: Configuration, vectors: FloatArray) -> np.ndarray:
        """Density at `vectors` (G, 3) per coefficient: (elements x basis, G), complex."""
        basis = self._basis(np.linalg.norm(vectors, axis=1)).T
        phases = np.exp(-1j / BOHR * (configuration.positions @ vectors.T))
        symbols = np.array(configuration.symbols)
        rows = [
            basis * (phases[symbols == element].sum(axis=0) / _volume(configuration))
            for element in self.valence
        ]
        return np.concatenate(rows)

    def _basis(self, lengths: FloatArray) -> FloatArray:
        return np.asarray(BSpline.design_matrix(lengths, self._knots, DEGREE).toarray())

    def _solved(self, normal: FloatArray, right: FloatArray) -> FloatArray:
        """Coefficients: smooth where there are no data, f(0) the number of electrons."""
        bends = np.diff(np.eye(self._n), 2, axis=0)
        at_zero = self._basis(np.zeros(1))[0]
        for k, electrons in enumerate(self.valence.values()):
            own = slice(k * self._n, (k + 1) * self._n)
            scale = max(float(np.diag(normal[own, own]).max()), 1e-12)
            normal[own, own] += STIFFNESS * scale * bends.T @ bends
            normal[own, own] += scale * np.outer(at_zero, at_zero)
            right[own] += scale * electrons * at_zero
        return np.asarray(np.linalg.lstsq(normal, right, rcond=None)[0], dtype=np.float64)


def _reciprocal(configuration: Configuration) -> FloatArray:
    """Rows b_i, 1/bohr, with 2π."""
    return np.asarray(2.0 * np.pi * BOHR * np.linalg.inv(configuration.cell).T, dtype=np.float64)


def _volume(configuration: Configuration) -> float:
    return float(configuration.volume) / BOHR**3


def _half_sphere(configuration: Configuration, radius: float) -> np.ndarray:
    """Miller indices (G, 3) up to `radius` (1/bohr), one of each pair ±G, zero first."""
    most = np.floor(radius * np.linalg.norm(configuration.cell, axis=1) / (2.0 * np.pi * BOHR))
    axes = [np.arange(-int(n), int(n) + 1) for n in most]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[len(grid) // 2 :]
    inside = np.linalg.norm(grid @ _reciprocal(configuration), axis=1) <= radius
    return np.asarray(grid[inside])


def _product(subscripts: str, *operands: np.ndarray) -> np.ndarray:
    """einsum without BLAS, whose further threads would take cores from the programs."""
    return np.asarray(np.einsum(subscripts, *operands, optimize=False))


def _as_real(values: np.ndarray) -> FloatArray:
    """Complex (..., G) as real (..., 2 G): its scalar products are the real parts of the former."""
    return np.ascontiguousarray(values).view(np.float64)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Miller indices (G, 3) and density (G,) in 1/bohr³ of a file of pw.x 6.4 or later."""
    with FortranFile(path) as file:
        file.read_record("i4")
        file.read_record("f8")
        miller, density = file.read_record("i4").reshape(-1, 3), file.read_record("c16")
    if len(miller) != len(density) or not np.isfinite(density).all():
        raise ValueError("not a density for each G-vector")
    return miller, density


def _write(path: Path, reciprocal: FloatArray, miller: np.ndarray, density: np.ndarray) -> None:
    """Write as a calculation with real wave functions does.

    Such a file holds one of ±G, and pw.x 7.2 finds its place by the Miller indices; of a full one
    it takes the order on trust.
    """
    with FortranFile(path, "w") as file:
        file.write_record(np.array([1, len(miller), 1], dtype="i4"))
        file.write_record(reciprocal.astype("f8"))
        file.write_record(miller.astype("i4"))
        file.write_record(density.astype("c16"))
