"""The records that the rooms exchange: frozen, with read-only float64 arrays.

N is the number of atoms. Cells are rows; V = |det|. Stress is (1/V) dE/d(strain) in eV/Å³,
positive in tension, a symmetric (3, 3) matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from ase.formula import Formula
from numpy.typing import ArrayLike, NDArray

from .errors import SpecError
from .hashing import canonical_array, content_id, digest

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def _frozen(values: ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise SpecError(f"shape {array.shape} where {shape} is needed", place=name)
    if not np.isfinite(array).all():
        raise SpecError("holds NaN or infinity", place=name)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, kw_only=True, eq=False)
class Configuration:
    """Atoms in a cell: the question that a label answers.

    Attributes
    ----------
    cell
        (3, 3) Å, rows are the lattice vectors.
    positions
        (N, 3) Å, Cartesian, kept as given (neither wrapped nor sorted).
    numbers
        (N,) atomic numbers.
    pbc
        Periodic along each lattice vector.
    """

    cell: FloatArray
    positions: FloatArray
    numbers: IntArray
    pbc: tuple[bool, bool, bool] = (True, True, True)

    def __post_init__(self) -> None:
        numbers = np.array(self.numbers, dtype=np.int64)
        if numbers.ndim != 1 or len(numbers) == 0 or (numbers < 1).any():
            raise SpecError("atomic numbers must be a non-empty list of positive integers")
        numbers.flags.writeable = False
        set_ = object.__setattr__
        set_(self, "numbers", numbers)
        set_(self, "cell", _frozen(self.cell, (3, 3), "cell"))
        set_(self, "positions", _frozen(self.positions, (len(numbers), 3), "positions"))
        set_(self, "pbc", (bool(self.pbc[0]), bool(self.pbc[1]), bool(self.pbc[2])))

    @cached_property
    def id(self) -> str:
        """``cfg-`` + 32 hex digits over cell, positions (8 decimals), numbers and pbc."""
        return (
            "cfg-"
            + digest(
                canonical_array(self.cell).tobytes(),
                canonical_array(self.positions).tobytes(),
                self.numbers.tobytes(),
                bytes(self.pbc),
            )[:32]
        )

    @property
    def n_atoms(self) -> int:
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """|det cell| in Å³."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def formula(self) -> str:
        """Chemical formula in Hill order, for example ``Al32``."""
        return str(Formula.from_list(self.symbols).convert("hill"))

    @property
    def symbols(self) -> list[str]:
        from ase.data import chemical_symbols

        return [chemical_symbols[number] for number in self.numbers]

    @property
    def elements(self) -> list[str]:
        """Sorted, distinct element symbols."""
        return sorted(set(self.symbols))


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """A configuration where a sampler found it.

    Attributes
    ----------
    trajectory
        Id of the sampler run (``trj-...``); splits never cut through one.
    step, time, temperature
        MD step, time in fs and kinetic temperature in K (0 for made structures).
    sampler
        Name of the protocol: ``melt_quench``, ``strain``, ``rattle`` ...
    phase
        ``solid``, ``interface`` or ``liquid``; empty before tagging.
    """

    configuration: Configuration
    trajectory: str
    sampler: str
    step: int = 0
    time: float = 0.0
    temperature: float = 0.0
    phase: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class LevelOfTheory:
    """What was computed: the code and every setting that changes the answer.

    Attributes
    ----------
    code
        ``espresso``, ``vasp`` or ``empirical`` (a cheap potential is a level of theory, too).
    settings
        Plain JSON; file contents enter as sha256, never as paths.
    """

    code: str
    settings: Mapping[str, Any]

    @cached_property
    def id(self) -> str:
        """The fingerprint ``thy-...`` over code and settings."""
        return content_id("thy", {"code": self.code, "settings": dict(self.settings)})


def label_id(configuration_id: str, theory_id: str) -> str:
    """``lbl-...`` of the question (configuration, level of theory), whatever the answer."""
    return content_id("lbl", [configuration_id, theory_id])


@dataclass(frozen=True, kw_only=True, eq=False)
class Label:
    """Energy, forces and stress of one configuration at one level of theory.

    Attributes
    ----------
    energy
        Force-consistent free energy of the cell, eV.
    forces
        (N, 3) eV/Å, or None where the source has none.
    stress
        (3, 3) eV/Å³, positive in tension, or None.
    provenance
        Plain JSON: corrections, wall and core seconds, host, code version, digests, flags.
    """

    configuration_id: str
    theory_id: str
    energy: float
    forces: FloatArray | None = None
    stress: FloatArray | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not np.isfinite(self.energy):
            raise SpecError("energy is not finite", place=self.configuration_id)
        object.__setattr__(self, "energy", float(self.energy))
        if self.forces is not None:
            n = len(np.asarray(self.forces))
            object.__setattr__(self, "forces", _frozen(self.forces, (n, 3), "forces"))
        if self.stress is not None:
            stress = np.asarray(self.stress, dtype=np.float64)
            if stress.shape == (6,):
                stress = full_stress(stress)
            object.__setattr__(self, "stress", _frozen(stress, (3, 3), "stress"))

    @cached_property
    def id(self) -> str:
        return label_id(self.configuration_id, self.theory_id)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledConfiguration:
    """A configuration with its label, as training and evaluation read it.

    `trajectory` and `phase` come from the frame; both may be empty for foreign data.
    """

    configuration: Configuration
    label: Label
    trajectory: str = ""
    phase: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Quarantine:
    """A question that got no trustworthy answer, and why.

    Attributes
    ----------
    error_class
        Name from the catalogue, for example ``geometry`` or ``scf_not_converged``.
    reason
        One sentence for a person.
    evidence
        Plain JSON: file, line, numbers, attempted corrections.
    """

    configuration_id: str
    theory_id: str
    error_class: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """The id of the label that is missing."""
        return label_id(self.configuration_id, self.theory_id)


def full_stress(voigt: ArrayLike) -> FloatArray:
    """(6,) xx yy zz yz xz xy -> symmetric (3, 3)."""
    xx, yy, zz, yz, xz, xy = np.asarray(voigt, dtype=np.float64)
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def voigt_stress(full: ArrayLike) -> FloatArray:
    """Symmetric (3, 3) -> (6,) xx yy zz yz xz xy, off-diagonals averaged."""
    s = np.asarray(full, dtype=np.float64)
    s = 0.5 * (s + s.T)
    return np.array([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])
