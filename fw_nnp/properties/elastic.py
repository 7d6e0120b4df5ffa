"""Lattice constant, bulk modulus and elastic constants of a cubic metal, by one path for all.

DFT, the empirical potential and the neural network potential go through the same cells and
the same fits, so that their numbers differ only where the potentials do.

The lattice constant comes from *energies* at seven volumes, not from a zero of the stress: at
a fixed plane-wave cutoff the stress of DFT is that of a fixed basis and is off by the Pulay
stress, while energies at fixed cutoff converge faster. The elastic constants
come from *stresses*, as central differences, from which a constant Pulay stress drops out.
The bulk modulus is that of the energies; how well it agrees with (C11 + 2 C12) / 3 tells
whether energies and stresses belong together.

Every atom of fcc and bcc is a centre of inversion and stays one under homogeneous strain:
forces vanish by symmetry and no internal relaxation is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase.build import bulk
from numpy.polynomial import Polynomial
from pymatgen.analysis.elasticity.elastic import ElasticTensor
from pymatgen.analysis.elasticity.strain import Strain
from pymatgen.analysis.elasticity.stress import Stress

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.errors import FwNnpError, LabelError
from fw_nnp.core.records import Configuration, FloatArray, Label
from fw_nnp.core.specs import EvaluateSpec
from fw_nnp.core.units import GPA

Evaluate = Callable[[Sequence[Configuration]], Sequence[Label]]

STEP = 0.0075  # relative change of the lattice constant from one volume to the next
REACH = 3  # steps to either side of the guess
ORDER = 4  # of the polynomial in V^(-2/3); 3 is Birch-Murnaghan, which strays from EAM curves
ROTATIONS = tuple(np.roll(np.eye(3), shift, axis=0) for shift in range(3))  # x -> y -> z
MIRROR = np.diag([1.0, 1.0, -1.0])


@dataclass(frozen=True, kw_only=True)
class CubicProperties:
    """What `cubic_properties` measures.

    Attributes
    ----------
    a0
        Lattice constant of the conventional cell, Å.
    c11, c12, c44
        Elastic constants, GPa.
    bulk_modulus
        GPa, from the energies.
    energy_per_atom
        At `a0`, eV.
    eos_residual
        Scatter of the energies about the fitted equation of state, meV/atom; much above 0.2
        the energies are not smooth (a k-point grid that changes with the cell).
    labels
        Ids of the labels that went in.
    """

    a0: float
    c11: float
    c12: float
    c44: float
    bulk_modulus: float
    energy_per_atom: float
    eos_residual: float
    labels: tuple[str, ...]

    @property
    def stable(self) -> bool:
        """Born's conditions of a cubic crystal (Mouhat and Coudert, PRB 90, 224104, 2014)."""
        return self.c11 > abs(self.c12) and self.c11 + 2 * self.c12 > 0 and self.c44 > 0


def cubic_properties(evaluate: Evaluate, spec: EvaluateSpec) -> CubicProperties:
    """Measure a cubic metal with `evaluate`, in 10 cells of 4 (fcc) or 2 (bcc) atoms.

    Parameters
    ----------
    evaluate
        Configurations to labels with stress, in the same order. It is called twice (seven
        volumes, then three strained cells), or three times (three volumes more) where the
        first guess of the lattice constant is more than 1 % off.
    spec
        Crystal, element, first guess of the lattice constant and strain amplitude.

    Raises
    ------
    FwNnpError
        The energies have no minimum within 4 % of the guess.
    LabelError
        `evaluate` answered another question, or without stress.
    """
    steps = list(range(-REACH, REACH + 1))
    labels = _ask(evaluate, [_cell(spec, step) for step in steps])
    side = _side(labels)
    if side:
        more = [side * step for step in range(REACH + 1, 2 * REACH + 1)]
        labels += _ask(evaluate, [_cell(spec, step) for step in more])
        steps += more
    state = _equation_of_state(spec, np.array(steps), np.array([label.energy for label in labels]))
    crystal = _crystal(spec, state.a0)
    strained = _ask(evaluate, [_strained(crystal, strain) for strain in _strains(spec.strain)])
    c11, c12, c44 = _elastic_constants(strained, spec.strain)
    return CubicProperties(
        a0=state.a0,
        c11=c11,
        c12=c12,
        c44=c44,
        bulk_modulus=state.bulk_modulus,
        energy_per_atom=state.energy,
        eos_residual=state.residual,
        labels=tuple(label.id for label in [*labels, *strained]),
    )


def _crystal(spec: EvaluateSpec, a0: float) -> Configuration:
    """The conventional cell, so that k-point grids match those of the training cells."""
    return from_atoms(bulk(spec.element, spec.crystal, a=a0, cubic=True))


def _cell(spec: EvaluateSpec, step: int) -> Configuration:
    return _crystal(spec, spec.lattice_constant * (1.0 + STEP * step))


def _ask(evaluate: Evaluate, configurations: list[Configuration]) -> list[Label]:
    """The labels of `configurations`, proved to be theirs."""
    labels = list(evaluate(configurations))
    if [label.configuration_id for label in labels] != [c.id for c in configurations]:
        raise LabelError(
            f"{len(configurations)} cells were asked for, and the labels are not theirs"
        )
    for label in labels:
        if label.stress is None:
            raise LabelError("has no stress, which elastic constants need", place=label.id)
    return labels


# ---------------------------------------------------------------- equation of state


@dataclass(frozen=True, kw_only=True)
class _State:
    a0: float  # Å
    energy: float  # eV/atom
    bulk_modulus: float  # GPa
    residual: float  # meV/atom


def _side(labels: Sequence[Label]) -> int:
    """-1 or +1 where the lowest of the seven energies is near that end of the range, else 0."""
    lowest = int(np.argmin([label.energy for label in labels])) - REACH
    return int(np.sign(lowest)) if abs(lowest) >= REACH - 1 else 0


def _equation_of_state(spec: EvaluateSpec, steps: np.ndarray, energies: FloatArray) -> _State:
    """Finite-strain expansion through the seven energies around the lowest one.

    Energy as a polynomial in x = V^(-2/3) (Birch, J. Geophys. Res. 83, 1257, 1978); at its
    minimum B = V d²E/dV² = 4/9 V^(-7/3) d²E/dx².
    """
    order = np.argsort(steps)
    steps, energies = steps[order], energies[order]
    lowest = int(np.argmin(energies))
    start = min(max(lowest - REACH, 0), len(steps) - 2 * REACH - 1)
    near = slice(start, start + 2 * REACH + 1)
    crystal = _crystal(spec, spec.lattice_constant)
    volumes = crystal.volume * (1.0 + STEP * steps[near]) ** 3 / crystal.n_atoms
    energies = energies[near] / crystal.n_atoms
    energy = Polynomial.fit(volumes ** (-2 / 3), energies, ORDER)
    minima = _minima(energy)
    if lowest in (0, len(steps) - 1) or not minima:
        raise FwNnpError(
            f"the energies of {spec.crystal} {spec.element} have no minimum between lattice "
            f"constants {spec.lattice_constant * (1 + STEP * steps[0]):.3f} and "
            f"{spec.lattice_constant * (1 + STEP * steps[-1]):.3f} Å",
            place="evaluate.lattice_constant",
            remedy="give a first guess nearer to the lattice constant of the level of theory",
        )
    x = min(minima, key=energy)
    scatter = energies - energy(volumes ** (-2 / 3))
    return _State(
        a0=float((x**-1.5 * crystal.n_atoms) ** (1 / 3)),
        energy=float(energy(x)),
        bulk_modulus=float(4 / 9 * x**3.5 * energy.deriv(2)(x) / GPA),
        residual=float(1e3 * np.sqrt(np.sum(scatter**2) / (len(scatter) - ORDER - 1))),
    )


def _minima(energy: Polynomial) -> list[float]:
    """Minima of the polynomial inside its domain."""
    left, right = (float(end) for end in energy.domain)
    roots = [complex(root) for root in energy.deriv().roots()]
    real = [root.real for root in roots if abs(root.imag) < 1e-9 and left < root.real < right]
    return [x for x in real if energy.deriv(2)(x) > 0.0]


# ---------------------------------------------------------------- elastic constants


def _strains(amplitude: float) -> list[Strain]:
    """+xx, -xx and yz; the shear -yz is the mirror image of +yz and would cost DFT twice."""
    return [
        Strain.from_voigt(amplitude * np.array(mode, dtype=float))
        for mode in ([1, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0])
    ]


def _strained(crystal: Configuration, strain: Strain) -> Configuration:
    deformation = np.eye(3) + np.asarray(strain)
    return Configuration(
        cell=crystal.cell @ deformation,
        positions=crystal.positions @ deformation,
        numbers=crystal.numbers,
        pbc=crystal.pbc,
    )


def _elastic_constants(labels: Sequence[Label], amplitude: float) -> tuple[float, float, float]:
    """C11, C12, C44 in GPa from the labels of `_strains`.

    The operations of the cube turn three calculations into the six independent strains, with
    both signs each, that `ElasticTensor.from_independent_strains` asks for
    (de Jong et al., Sci. Data 2, 150009, 2015).
    """
    measured = [
        (np.asarray(strain), label.stress / GPA)
        for strain, label in zip(_strains(amplitude), labels, strict=True)
        if label.stress is not None
    ]
    shear = measured[-1]
    measured.append((MIRROR @ shear[0] @ MIRROR, MIRROR @ shear[1] @ MIRROR))
    strains = [Strain(r @ strain @ r.T) for r in ROTATIONS for strain, _ in measured]
    stresses = [Stress(r @ stress @ r.T) for r in ROTATIONS for _, stress in measured]
    c = ElasticTensor.from_independent_strains(
        strains, stresses, eq_stress=Stress(np.zeros((3, 3)))
    ).voigt
    return float(c[0, 0]), float(c[0, 1]), float(c[3, 3])
