"""The audit finds what was spoilt, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.units import GPA
from fw_nnp.exchange import load_description, read_labelled
from fw_nnp.potentials.emt import EmtPotential
from fw_nnp.properties.audit import audit

ROOT = Path(__file__).parents[2]
MLEARN = ROOT.parent / "shared/data/mlearn"


def labelled(cells, folder) -> list[LabelledConfiguration]:
    """Cells of aluminium with labels of EMT."""
    labels = EmtPotential(["Al"]).label(cells, folder)
    return [
        LabelledConfiguration(configuration=c, label=made)
        for c, made in zip(cells, labels, strict=True)
    ]


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> list[LabelledConfiguration]:
    """Forty rattled and strained cells of aluminium with consistent labels."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(40):
        atoms = bulk("Al", "fcc", a=4.0, cubic=True)
        strain = 0.02 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
        atoms.positions += 0.08 * rng.normal(size=(4, 3))
        found.append(from_atoms(atoms))
    return labelled(found, tmp_path_factory.mktemp("emt"))


def spoilt(items, change):
    return [replace(item, label=change(item.label)) for item in items]


def test_good_labels_pass(items):
    found = audit(items)
    assert found.findings == ()
    assert found.n_pairs > 40
    assert found.force_factor == pytest.approx(1.0, abs=0.1)
    assert found.stress_factor == pytest.approx(1.0, abs=0.1)
    assert abs(found.offset_GPa) < 0.5


def test_a_constant_offset_of_the_stress_is_found_with_its_size(items):
    found = audit(spoilt(items, lambda x: replace(x, stress=x.stress - 3 * GPA * np.eye(3))))
    assert found.offset_GPa == pytest.approx(3.0, abs=0.6)
    assert any("constant" in text for text in found.findings)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda x: replace(x, stress=-x.stress), "for -"),
        (lambda x: replace(x, forces=-x.forces), "for -"),
        (lambda x: replace(x, forces=0.5 * x.forces), "for 1.9"),
        (lambda x: replace(x, forces=x.forces + 0.1), "add up"),
    ],
    ids=["sign of the stress", "sign of the forces", "unit of the forces", "net force"],
)
def test_what_is_spoilt_is_found(items, change, word):
    findings = audit(spoilt(items, change)).findings
    assert any(word in text for text in findings), findings


def sheared(flipped: tuple[int, ...], tmp_path) -> list[LabelledConfiguration]:
    """Perfect crystals under shears of -1.0 to 1.0 %; the shear stress of some turned round."""
    cells = []
    for shear in (-0.01, -0.005, 0.0, 0.005, 0.01):
        atoms = bulk("Al", "fcc", a=4.0, cubic=True)
        strain = np.eye(3)
        strain[0, 1] = strain[1, 0] = shear
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        cells.append(from_atoms(atoms))
    made = []
    for i, label in enumerate(EmtPotential(["Al"]).label(cells, tmp_path)):
        stress = np.array(label.stress)
        if i in flipped:
            stress[[0, 1], [1, 0]] *= -1.0
        made.append(
            LabelledConfiguration(configuration=cells[i], label=replace(label, stress=stress))
        )
    return made


def test_shear_stresses_that_contradict_the_energies_are_named(tmp_path):
    good, bad = audit(sheared((), tmp_path)), audit(sheared((1, 3), tmp_path))
    assert (good.n_shears > 3, good.contradicting_shears) == (True, 0)
    assert bad.contradicting_shears > 0
    (text,) = [text for text in bad.findings if "sheared" in text]
    assert "frame 2 to" in text
    assert {*text.split("frames ")[1].split(":")[0].split(", ")} == {"1", "3"}


@pytest.mark.skipif(not MLEARN.exists(), reason="needs ../shared/data/mlearn")
def test_the_shears_of_published_lithium_are_flagged():
    """At 0.5 % its shear stresses have the wrong sign; the energies know better."""
    description = load_description(ROOT / "examples/descriptions/mlearn_li.yaml")
    items = list(read_labelled(MLEARN / "Li/training.json", description))
    sheared_ones = [i for i in items if i.configuration.n_atoms == items[-1].configuration.n_atoms]
    (text,) = [text for text in audit(sheared_ones[-40:]).findings if "sheared" in text]
    assert "5 of them in sign" in text


@pytest.mark.skipif(not MLEARN.exists(), reason="needs ../shared/data/mlearn")
@pytest.mark.parametrize(("element", "part"), [("Mo", slice(-50, None)), ("Li", slice(-40, None))])
def test_published_stresses_are_consistent_and_an_offset_in_them_is_found(element, part):
    description = load_description(ROOT / f"examples/descriptions/mlearn_{element.lower()}.yaml")
    items = list(read_labelled(MLEARN / element / "training.json", description))[part]
    good = audit(items)
    assert abs(good.offset_GPa) < 0.7
    assert not any("constant" in text for text in good.findings)
    bad = audit(spoilt(items, lambda x: replace(x, stress=x.stress - 3 * GPA * np.eye(3))))
    assert bad.offset_GPa - good.offset_GPa == pytest.approx(3.0, abs=0.1)
    assert any("constant" in text for text in bad.findings)


@pytest.fixture(scope="module")
def hot(tmp_path_factory) -> list[LabelledConfiguration]:
    """Strongly displaced cells, where a larger volume goes with more displacement or less."""
    rng = np.random.default_rng(6)
    crystal = bulk("Al", "fcc", a=4.05, cubic=True)
    found = []
    for _ in range(60):
        atoms = crystal.copy()
        atoms.set_cell(atoms.cell * (1.0 + 0.04 * rng.uniform(-1.0, 1.0)), scale_atoms=True)
        atoms.positions += 0.18 * rng.normal(size=(4, 3))
        found.append(from_atoms(atoms))
    return labelled(found, tmp_path_factory.mktemp("emt"))


def test_the_softening_of_a_larger_volume_is_no_pressure(hot):
    """Exact labels of displaced cells, between which the trapezoid rule is coarse."""
    found = audit(hot)
    assert found.n_pairs > 40
    assert found.findings == ()
    bad = audit(spoilt(hot, lambda x: replace(x, stress=x.stress - 3 * GPA * np.eye(3))))
    assert bad.offset_GPa - found.offset_GPa == pytest.approx(3.0, abs=0.1)
    assert any("constant" in text for text in bad.findings)


def test_a_mirrored_cell_is_far_from_the_others(items):
    """Its mean with a right-handed one can be flat."""
    cell = items[0].configuration.cell * np.array([[-1.0], [1.0], [1.0]])
    mirrored = replace(items[0], configuration=replace(items[0].configuration, cell=cell))
    with_it, without = audit([*items, mirrored]), audit(items)
    assert with_it.n_pairs == without.n_pairs
    assert with_it.findings == ()


def test_without_pairs_nothing_is_claimed(items):
    found = audit(items[:3])
    assert found.force_factor is None
    assert "nothing said" in found.findings[0]
