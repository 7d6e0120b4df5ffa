"""The audit relabels displaced cells at the level of theory that a campaign file states."""

from __future__ import annotations

from pathlib import Path

import pytest
import stand_ins
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.records import Configuration, LabelledConfiguration
from fw_nnp.core.specs import CampaignSpec, RelabelSpec
from fw_nnp.dft import make_labeler, relabel
from fw_nnp.firetasks.audit import audit_by_differences
from fw_nnp.potentials.emt import EmtPotential

PW = {
    "code": "espresso",
    "pseudopotentials": {"Al": "Al.pbe-fwnnp.UPF"},
    "ecutwfc": "20 Ry",
    "k_spacing": 1.2,
    "k_shift": True,
    "degauss": "0.15 Ry",
    "bands": 1.8,
}


def theory(changes: dict | None = None) -> RelabelSpec:
    plain = stand_ins.campaign()
    if changes:
        del plain["relabel"]["theory"]
    spec = merged(plain, {"relabel": {"theory": changes}} if changes else {})
    return parse(CampaignSpec, spec, place="test").relabel


def cells(n: int) -> list[Configuration]:
    found = []
    for seed in range(n):
        atoms = bulk("Al", "fcc", a=4.1) * (1, 1, 2)
        atoms.rattle(0.1, seed=seed)
        found.append(from_atoms(atoms))
    return found


def test_labels_of_another_level_show_as_a_factor(tmp_path: Path) -> None:
    configurations = cells(4)
    labels = EmtPotential(["Al"]).label(configurations, tmp_path)
    items = [
        LabelledConfiguration(configuration=c, label=made)
        for c, made in zip(configurations, labels, strict=True)
    ]
    found = audit_by_differences(items, theory(), base=tmp_path, folder=tmp_path, count=2, cores=2)
    assert found.n_configurations == 2
    assert found.force_factor == pytest.approx(stand_ins.SCALE, rel=2e-3)
    assert "forces differ" in found.findings[0]


@pytest.mark.engines
@pytest.mark.slow
def test_labels_of_pw_agree_with_its_energies(pw: list[str], tmp_path: Path) -> None:
    """The plane-wave set moves with the cell: a constant pressure stays, nothing else."""
    spec = theory(PW)
    (cell,) = cells(1)
    labeler = make_labeler(spec.theory, programs={"pw": pw}, base=tmp_path)
    label = relabel(cell, labeler, tmp_path / "own", max_attempts=2)
    items = [LabelledConfiguration(configuration=cell, label=label)]
    found = audit_by_differences(items, spec, base=tmp_path, folder=tmp_path, count=1, cores=2)
    assert found.force_rms_eV_A < 5e-3
    assert found.force_factor == pytest.approx(1.0, abs=0.02)
    assert abs(found.pressure_offset_GPa) < 0.5
