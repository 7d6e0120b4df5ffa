"""Errors on cases made by hand, the fitted shift, masks and thinning."""

import numpy as np
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, Label, LabelledConfiguration
from fw_nnp.core.units import GPA
from fw_nnp.properties import errors
from fw_nnp.properties.errors import compare, fit_shift


def item(symbols="Al", *, x=0.0, energy=0.0, forces=0.0, stress=0.0, phase="solid"):
    """A labelled configuration; forces and stress are one number in every component."""
    numbers = [{"A": 13, "N": 28}[letter] for letter in symbols if letter.isupper()]
    positions = np.arange(3 * len(numbers)).reshape(-1, 3) + x
    configuration = Configuration(cell=np.eye(3) * 10, positions=positions, numbers=numbers)
    return LabelledConfiguration(
        configuration=configuration,
        label=answer(configuration, energy, forces, stress),
        phase=phase,
    )


def answer(configuration, energy=0.0, forces=0.0, stress=0.0):
    return Label(
        configuration_id=configuration.id,
        theory_id="thy-test",
        energy=energy,
        forces=None if forces is None else np.full((configuration.n_atoms, 3), forces),
        stress=None if stress is None else np.full((3, 3), stress * GPA),
    )


def test_scores_of_a_hand_made_case():
    reference = [item("AlAl", x=0.1), item("AlAl", x=0.2, phase="liquid")]
    predicted = [
        answer(reference[0].configuration, energy=0.006, forces=0.03, stress=-0.1),
        answer(reference[1].configuration, energy=-0.002, forces=0.01, stress=0.3),
    ]
    result = compare(reference, predicted)
    assert result.overall.configurations == 2
    energy, force, stress = (
        result.overall.energy_meV_atom,
        result.overall.force_meV_A,
        result.overall.stress_GPa,
    )
    assert (energy.rmse, energy.mae, energy.count) == pytest.approx((5**0.5, 2.0, 2))
    assert (force.rmse, force.mae, force.count) == pytest.approx((500**0.5, 20.0, 12))
    assert (stress.rmse, stress.mae, stress.count) == pytest.approx((0.05**0.5, 0.2, 12))
    assert list(result.by_phase) == ["solid", "liquid"]
    assert result.by_phase["solid"].energy_meV_atom.rmse == pytest.approx(3.0)
    assert result.by_phase["liquid"].force_meV_A.mae == pytest.approx(10.0)


def test_absent_forces_and_stress_are_masked():
    reference = [item(x=0.1, forces=None), item(x=0.2, stress=None), item(x=0.3, phase="")]
    predicted = [answer(r.configuration, forces=0.02, stress=0.5) for r in reference]
    result = compare(reference, predicted)
    assert result.overall.energy_meV_atom.count == 3
    assert result.overall.force_meV_A.count == 6
    assert result.overall.force_meV_A.rmse == pytest.approx(20.0)
    assert result.overall.stress_GPa.count == 12
    assert result.by_phase["untagged"].configurations == 1

    energies_only = compare(
        reference, [answer(r.configuration, forces=None, stress=None) for r in reference]
    )
    assert energies_only.overall.force_meV_A is None
    assert list(energies_only.parity) == ["energy"]


def test_shift_is_exact_where_zeros_differ_by_element():
    shift = {"Al": -56.7, "Ni": 12.3}
    reference = [
        item(symbols, x=0.1 * i, energy=sum(shift[s] for s in symbols.split()))
        for i, symbols in enumerate(["Al", "Al Al Al", "Al Ni", "Ni Ni Al"])
    ]
    predicted = [answer(r.configuration) for r in reference]
    assert fit_shift(reference, predicted) == pytest.approx(shift)
    assert compare(reference, predicted, shift=shift).overall.energy_meV_atom.rmse < 1e-9


def test_shift_of_one_composition_removes_the_mean_and_nothing_else():
    reference = [item("AlAl", x=0.1 * i, energy=e) for i, e in enumerate([1.0, 1.2, 1.1])]
    predicted = [answer(r.configuration) for r in reference]
    shift = fit_shift(reference, predicted)
    assert shift["Al"] == pytest.approx(0.55)
    left = compare(reference, predicted, shift=shift).overall.energy_meV_atom
    assert left.rmse == pytest.approx(1e3 * np.std([0.5, 0.6, 0.55]))


def test_shift_without_an_element_of_the_test_set_is_refused():
    reference = [item("Ni")]
    with pytest.raises(SpecError, match="no energy shift for Ni"):
        compare(reference, [answer(reference[0].configuration)], shift={"Al": 1.0})


def test_predictions_in_another_order_are_refused():
    reference = [item(x=0.1), item(x=0.2)]
    predicted = [answer(r.configuration) for r in reference]
    with pytest.raises(SpecError, match="in its place"):
        compare(reference, predicted[::-1])
    with pytest.raises(SpecError, match="2 reference labels and 1 prediction"):
        compare(reference, predicted[:1])


def test_parity_is_thinned_the_same_way_each_time_and_keeps_the_worst(monkeypatch):
    monkeypatch.setattr(errors, "PARITY_POINTS", 50)
    reference = [item("Al" * 10, x=0.01 * i) for i in range(40)]
    predicted = [
        answer(r.configuration, forces=1.0 if i == 17 else 1e-3 * i)
        for i, r in enumerate(reference)
    ]
    first, second = compare(reference, predicted), compare(reference, predicted)
    points = first.parity["forces"]
    assert points == second.parity["forces"]
    assert len(points.reference) == len(points.predicted) == len(points.phase) == 50
    assert 1.0 in points.predicted
    assert first.overall.force_meV_A.count == 1200
