"""Lattice and elastic constants against finite differences of the energy, and the guards."""

import dataclasses

import numpy as np
import pytest
from ase import eos
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from fw_nnp.core.atoms import label_from_calculator
from fw_nnp.core.errors import FwNnpError, LabelError
from fw_nnp.core.records import Label
from fw_nnp.core.specs import EvaluateSpec
from fw_nnp.core.units import GPA
from fw_nnp.properties.elastic import CubicProperties, cubic_properties

THEORY = "thy-test"


class Counted:
    """Labels from an ASE calculator; remembers how often and for what it was asked."""

    def __init__(self, calculator):
        self.calculator = calculator
        self.asked = []

    def __call__(self, configurations):
        self.asked.append(list(configurations))
        return [label_from_calculator(c, self.calculator, THEORY) for c in configurations]


def energy_curvature(element, a0, strain, calculator=EMT):
    """Second derivative of the energy of the fcc crystal along `strain`, per volume, GPa."""
    energies = []
    for amplitude in (-0.002, 0.0, 0.002):
        atoms = bulk(element, "fcc", a=a0, cubic=True)
        volume = atoms.get_volume()
        atoms.set_cell(atoms.cell @ (np.eye(3) + amplitude * np.array(strain)), scale_atoms=True)
        atoms.calc = calculator()
        energies.append(atoms.get_potential_energy())
    return (energies[0] - 2 * energies[1] + energies[2]) / 0.002**2 / volume / GPA


@pytest.fixture(scope="module", params=["Al", "Cu"])
def measured(request):
    guess = {"Al": 4.05, "Cu": 3.65}[request.param]
    spec = EvaluateSpec(element=request.param, lattice_constant=guess, strain=0.002)
    return request.param, cubic_properties(Counted(EMT()), spec)


def test_lattice_constant_is_that_of_a_relaxed_cell(measured):
    element, result = measured
    atoms = bulk(element, "fcc", a=result.a0 * 1.01)
    atoms.calc = EMT()
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-5)
    assert result.a0 == pytest.approx((4 * atoms.get_volume()) ** (1 / 3), abs=1e-3)
    assert result.energy_per_atom == pytest.approx(atoms.get_potential_energy(), abs=1e-4)


def test_elastic_constants_are_curvatures_of_the_energy(measured):
    element, result = measured
    c11 = energy_curvature(element, result.a0, np.diag([1, 0, 0]))
    # d²E along xx - yy is 2 (C11 - C12) V; along yz (both components 1/2) it is C44 V.
    c12 = c11 - energy_curvature(element, result.a0, np.diag([1, -1, 0])) / 2
    c44 = energy_curvature(element, result.a0, [[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]])
    assert (result.c11, result.c12, result.c44) == pytest.approx((c11, c12, c44), rel=0.01)


def test_bulk_modulus_of_energies_agrees_with_that_of_stresses(measured):
    _, result = measured
    assert result.bulk_modulus == pytest.approx((result.c11 + 2 * result.c12) / 3, rel=0.02)
    assert result.eos_residual < 0.1
    assert result.stable


def test_few_cells_and_few_calls():
    evaluate = Counted(EMT())
    result = cubic_properties(evaluate, EvaluateSpec(element="Cu", lattice_constant=3.6))
    assert [len(asked) for asked in evaluate.asked] == [7, 3]
    assert len(set(result.labels)) == 10


def test_asking_twice_asks_the_same_questions():
    spec = EvaluateSpec(element="Cu", lattice_constant=3.6)
    first, second = (cubic_properties(Counted(EMT()), spec) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("guess", [3.47, 3.71])
def test_a_guess_three_percent_off_costs_three_more_volumes(guess):
    evaluate = Counted(EMT())
    result = cubic_properties(evaluate, EvaluateSpec(element="Cu", lattice_constant=guess))
    exact = cubic_properties(Counted(EMT()), EvaluateSpec(element="Cu", lattice_constant=3.59))
    assert [len(asked) for asked in evaluate.asked] == [7, 3, 3]
    assert result.a0 == pytest.approx(exact.a0, abs=2e-3)
    assert result.c11 == pytest.approx(exact.c11, rel=0.01)


def test_no_minimum_near_the_guess_is_an_error_with_the_range():
    with pytest.raises(FwNnpError, match=r"no minimum between .* 3\.915 and 4\.192 Å"):
        cubic_properties(Counted(EMT()), EvaluateSpec(element="Cu", lattice_constant=4.1))


def test_a_constant_stress_offset_does_not_change_the_elastic_constants():
    spec = EvaluateSpec(element="Al", lattice_constant=4.0)

    def pulay(configurations):
        labels = Counted(EMT())(configurations)
        offset = 2.0 * GPA * np.eye(3)
        return [dataclasses.replace(label, stress=label.stress + offset) for label in labels]

    plain, shifted = (cubic_properties(e, spec) for e in (Counted(EMT()), pulay))
    assert shifted.a0 == plain.a0
    expected = (plain.c11, plain.c12, plain.c44)
    assert (shifted.c11, shifted.c12, shifted.c44) == pytest.approx(expected, abs=1e-6)


def test_cauchy_relation_of_a_pair_potential():
    """Central pair forces and inversion symmetry give C12 = C44 at zero pressure."""
    calculator = LennardJones(sigma=2.3, epsilon=0.2, rc=9.0, smooth=True)
    spec = EvaluateSpec(element="Ar", lattice_constant=3.6, strain=0.001)
    result = cubic_properties(Counted(calculator), spec)
    assert result.c12 == pytest.approx(result.c44, rel=0.01)


def test_strained_crystals_have_no_internal_forces():
    evaluate = Counted(EMT())
    cubic_properties(evaluate, EvaluateSpec(element="Al", lattice_constant=4.0, strain=0.02))
    labels = evaluate(evaluate.asked[-1])
    assert max(np.abs(label.forces).max() for label in labels) < 1e-10


def test_labels_of_other_cells_are_refused():
    evaluate = Counted(EMT())
    spec = EvaluateSpec(element="Al", lattice_constant=4.0)
    with pytest.raises(LabelError, match="not theirs"):
        cubic_properties(lambda cells: evaluate(cells)[::-1], spec)


def test_labels_without_stress_are_refused():
    def without(cells):
        return [Label(configuration_id=c.id, theory_id=THEORY, energy=0.0) for c in cells]

    with pytest.raises(LabelError, match="no stress"):
        cubic_properties(without, EvaluateSpec(element="Al", lattice_constant=4.0))


def test_born_conditions():
    good = CubicProperties(
        a0=4.0, c11=110.0, c12=60.0, c44=30.0, bulk_modulus=77.0,
        energy_per_atom=-1.0, eos_residual=0.0, labels=(),
    )  # fmt: skip
    assert good.stable
    assert not dataclasses.replace(good, c12=120.0).stable
    assert not dataclasses.replace(good, c44=-1.0).stable


def test_equation_of_state_recovers_its_own_parameters():
    """Energies that follow Birch and Murnaghan exactly give back their parameters."""
    volume, modulus = 16.5, 77.0

    def evaluate(cells):
        return [
            Label(
                configuration_id=c.id,
                theory_id=THEORY,
                energy=4 * eos.birchmurnaghan(c.volume / 4, -3.0, modulus * GPA, 4.5, volume),
                stress=np.zeros((3, 3)),
            )
            for c in cells
        ]

    result = cubic_properties(evaluate, EvaluateSpec(element="Al", lattice_constant=4.05))
    assert result.a0 == pytest.approx((4 * volume) ** (1 / 3), abs=1e-6)
    assert result.bulk_modulus == pytest.approx(modulus, rel=1e-6)
    assert result.energy_per_atom == pytest.approx(-3.0, abs=1e-8)
    assert result.eos_residual < 1e-5
