"""Central differences tell good labels from spoilt ones, with the size of what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.errors import LabelError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.units import GPA
from fw_nnp.potentials.emt import EmtPotential
from fw_nnp.properties.central_differences import answer, questions


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> list[LabelledConfiguration]:
    """Three rattled, strained cells and a perfect one with consistent labels."""
    rng = np.random.default_rng(5)
    found = []
    for size in (0.0, 0.1, 0.1, 0.1):
        atoms = bulk("Al", "fcc", a=4.0, cubic=True)
        strain = 0.3 * size * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
        atoms.positions += size * rng.normal(size=(4, 3))
        found.append(from_atoms(atoms))
    labels = EmtPotential(["Al"]).label(found, tmp_path_factory.mktemp("emt"))
    return [
        LabelledConfiguration(configuration=c, label=made)
        for c, made in zip(found, labels, strict=True)
    ]


def audited(items, change=lambda label: label):
    spoilt = [replace(item, label=change(item.label)) for item in items]
    asked = [questions(item, seed) for seed, item in enumerate(spoilt)]
    cells = [cell for pairs in asked for q in pairs for cell in (q.low, q.high)]
    labels = EmtPotential(["Al"]).label(cells, Path())
    return answer(asked, {label.configuration_id: label.energy for label in labels})


def test_good_labels_agree_with_the_slopes_of_the_energy(items):
    found = audited(items)
    assert found.findings == ()
    assert found.n_configurations == 4
    assert found.force_rms_eV_A < 1e-3
    assert found.force_factor == pytest.approx(1.0, abs=1e-3)
    assert abs(found.pressure_offset_GPa) < 0.02
    assert found.shear_rms_GPa < 0.05


@pytest.mark.parametrize(
    ("change", "word", "attribute", "value"),
    [
        (lambda x: replace(x, forces=-x.forces), "forces", "force_factor", -1.0),
        (lambda x: replace(x, forces=0.5 * x.forces), "forces", "force_factor", 2.0),
        (
            lambda x: replace(x, stress=x.stress - 2 * GPA * np.eye(3)),
            "constant",
            "pressure_offset_GPa",
            2.0,
        ),
        (
            lambda x: replace(x, stress=x.stress + 3 * GPA * np.diag([1.0, -1.0, 0.0])),
            "shear",
            "force_factor",
            1.0,
        ),
    ],
    ids=["sign", "unit", "offset", "shear"],
)
def test_what_is_spoilt_is_found_with_its_size(items, change, word, attribute, value):
    found = audited(items, change)
    assert any(word in text for text in found.findings), found
    assert getattr(found, attribute) == pytest.approx(value, abs=0.05)


def test_labels_without_stress_are_judged_by_their_forces(items):
    found = audited(items, lambda x: replace(x, stress=None))
    assert found.pressure_offset_GPa is None
    assert found.force_rms_eV_A < 1e-3


def test_without_energies_nothing_is_claimed(items):
    with pytest.raises(LabelError, match="no displaced cell"):
        answer([questions(items[1], 0)], {})
