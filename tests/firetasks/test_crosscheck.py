"""Two levels of theory side by side: the zero of energy goes, the rest is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import stand_ins
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.dft import make_labeler, relabel
from fw_nnp.firetasks.crosscheck import crosscheck
from fw_nnp.firetasks.kept import answers_at, evenly
from fw_nnp.potentials.emt import EmtPotential


def test_a_second_theory_is_compared_after_aligning_energies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    configurations = []
    for _ in range(12):
        atoms = bulk("Al", "fcc", a=4.0, cubic=True)
        atoms.positions += 0.1 * rng.normal(size=(4, 3))
        configurations.append(from_atoms(atoms))
    labels = EmtPotential(["Al"]).label(configurations, tmp_path)
    items = [
        LabelledConfiguration(configuration=c, label=made)
        for c, made in zip(configurations, labels, strict=True)
    ]
    second = parse(CampaignSpec, stand_ins.campaign(), place="test").relabel
    found = crosscheck(items, second, base=tmp_path, folder=tmp_path, count=6, cores=1)
    assert (found.compared, found.failed) == (6, 0)
    forces = np.concatenate([labels[i].forces.ravel() for i in range(0, 12, 2)])
    wanted = 1000 * (stand_ins.SCALE - 1) * np.sqrt((forces**2).mean())
    assert found.differences.overall.force_meV_A.rmse == pytest.approx(wanted, rel=1e-6)
    assert found.reference_energies["Al"] < 0.0  # the stand-in lies 0.3 eV/atom too high
    assert Path(found.figure).stat().st_size > 1000
    assert [row["quantity"].split()[0] for row in found.rows()]


def test_what_a_killed_check_has_labelled_is_not_labelled_again(tmp_path: Path) -> None:
    """The slow stand-in notes every question; in between one more cell is asked for."""
    cells = []
    for seed in range(3):
        cells.append(bulk("Al", "fcc", a=4.0, cubic=True))
        cells[-1].rattle(0.1, seed=seed)
    cells.append(cells[0].copy())
    cells[-1].positions[1] = cells[-1].positions[0] + 0.2  # no theory has an answer
    asked = [from_atoms(atoms) for atoms in cells]
    changes = {"relabel": {"theory": {"potential": {"engine": "stand_ins:slow_dft_like"}}}}
    second = parse(CampaignSpec, merged(stand_ins.campaign(), changes), place="test").relabel
    counts: list[tuple[int, int]] = []

    def told(done: int, of: int) -> None:
        counts.append((done, of))
        if len(counts) == 3:
            raise KeyboardInterrupt

    how = {"base": tmp_path, "folder": tmp_path, "cores": 1}
    with pytest.raises(KeyboardInterrupt):
        answers_at(second, asked, **how, told=told)
    found = answers_at(second, asked, **how)
    assert counts == [(0, 4), (1, 4), (2, 4)]
    assert found.labels.keys() == {cell.id for cell in asked[:3]}
    assert [reason.split(":")[0] for reason in found.reasons] == ["geometry"]
    again = answers_at(second, asked, **how)
    for id_, label in found.labels.items():
        assert again.labels[id_].energy == label.energy
        np.testing.assert_array_equal(again.labels[id_].forces, label.forces)
        np.testing.assert_array_equal(again.labels[id_].stress, label.stress)
    questions = (tmp_path / "questions.txt").read_text().split()
    assert len(questions) <= 4  # three, and the one that was in flight
    assert {*questions} == found.labels.keys()


def test_a_part_is_evenly_spread() -> None:
    assert evenly(range(39), 20)[-1] == 37
    assert evenly(range(3), 5) == [0, 1, 2]


@pytest.mark.engines
def test_two_cutoffs_of_pw_are_compared(pw: list[str], tmp_path: Path) -> None:
    """The real pw.x at 10 Ry against labels at 14 Ry: forces differ little, stresses more."""
    theory = {
        "code": "espresso",
        "pseudopotentials": {"Al": "Al.pbe-fwnnp.UPF"},
        "k_spacing": 1.2,
        "k_shift": True,
        "degauss": "0.15 Ry",
        "bands": 1.8,
    }
    plain = stand_ins.campaign()
    del plain["relabel"]["theory"]
    first, second = (
        parse(
            CampaignSpec,
            merged(plain, {"relabel": {"theory": {**theory, "ecutwfc": cutoff}}}),
            place="test",
        ).relabel
        for cutoff in ("14 Ry", "10 Ry")
    )
    configurations = []
    for seed in range(3):
        atoms = bulk("Al", "fcc", a=4.0) * (1, 1, 2)
        atoms.rattle(0.1, seed=seed)
        configurations.append(from_atoms(atoms))
    labeler = make_labeler(first.theory, programs={"pw": pw}, base=tmp_path)
    items = [
        LabelledConfiguration(
            configuration=c, label=relabel(c, labeler, tmp_path / c.id, max_attempts=2)
        )
        for c in configurations
    ]
    found = crosscheck(items, second, base=tmp_path, folder=tmp_path, count=3, cores=2)
    assert (found.compared, found.failed) == (3, 0)
    assert found.theory != labeler.theory.id
    differences = found.differences.overall
    assert 0.0 < differences.force_meV_A.rmse < 50.0
    assert differences.energy_meV_atom.rmse < 20.0  # the shift of the cutoff is in the zero
    assert abs(found.reference_energies["Al"]) > 1e-4
