"""Two levels of theory side by side: the zero of energy goes, the rest is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import stand_ins
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.parsing import parse
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.firetasks.crosscheck import crosscheck
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
