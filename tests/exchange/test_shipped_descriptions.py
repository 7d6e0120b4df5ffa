"""The shipped descriptions tell the truth about the public data sets (where they are present).

Every sign, unit and order is tested by physics: recomputation with the same potential, elastic
constants, and energies against stress.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.io.lammpsdata import write_lammps_data

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.records import LabelledConfiguration, full_stress
from fw_nnp.core.units import BAR, GPA
from fw_nnp.exchange import load_description, read_labelled

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared/data"
DESCRIPTIONS = ROOT / "examples/descriptions"

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/data on this machine")


def test_every_shipped_description_is_valid():
    paths = sorted(DESCRIPTIONS.glob("*.yaml"))
    assert len(paths) >= 3
    for path in paths:
        assert load_description(path).theory


# ---------------------------------------------------------------- ni_eam: the same EAM again


def eam_with_lammps(item: LabelledConfiguration, lmp: list[str], where: Path):
    """Energy eV, forces eV/Å and stress eV/Å³ of one cell with the EAM of its labels."""
    write_lammps_data(where / "cell.data", to_atoms(item.configuration), atom_style="atomic")
    potential = SHARED / "eam/NiNb_ZhangAshcraftMendelev_2016.eam.fs"
    (where / "in.lmp").write_text(
        "units metal\nboundary p p p\nread_data cell.data\npair_style eam/fs\n"
        f"pair_coeff * * {potential} Ni\nmass 1 58.7\n"
        "thermo_style custom pe pxx pyy pzz pyz pxz pxy\n"
        "thermo_modify format float %.12g line one\n"
        "dump d all custom 1 forces.txt fx fy fz\ndump_modify d sort id format float %.12g\n"
        "run 0\n"
    )
    done = subprocess.run(
        [*lmp, "-in", "in.lmp", "-log", "none"],
        cwd=where,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    row = next(i for i, line in enumerate(lines) if line.split()[:2] == ["PotEng", "Pxx"])
    energy, *pressure = map(float, lines[row + 1].split())
    return energy, np.loadtxt(where / "forces.txt", skiprows=9), -BAR * full_stress(pressure)


@pytest.mark.engines
def test_ni_eam_labels_are_those_of_the_potential(lmp, tmp_path):
    description = load_description(DESCRIPTIONS / "ni_eam.yaml")
    items = list(read_labelled(SHARED / "ni_eam/train.h5", description))
    assert len(items) == 2004
    for index in (0, 700, 1500):
        item = items[index]
        assert item.configuration.formula == "Ni32"
        energy, forces, stress = eam_with_lammps(item, lmp, tmp_path)
        assert item.label.energy == pytest.approx(energy, abs=1e-4)
        np.testing.assert_allclose(item.label.forces, forces, atol=1e-4)
        np.testing.assert_allclose(item.label.stress / GPA, stress / GPA, atol=1e-4)


def test_ni_eam_stress_rises_with_volume():
    """Between cells, too: the more volume, the more tension."""
    description = load_description(DESCRIPTIONS / "ni_eam.yaml")
    items = list(read_labelled(SHARED / "ni_eam/train.h5", description))
    volumes = [item.configuration.volume / 32 for item in items]
    pressures = [-np.trace(item.label.stress) / 3 / GPA for item in items]
    assert np.corrcoef(volumes, pressures)[0, 1] < -0.5
    assert min(pressures) == pytest.approx(-14, abs=1)
    assert max(pressures) == pytest.approx(20, abs=1)


# ---------------------------------------------------------------- mlearn: the elastic cells


def elastic_cells(element: str) -> list[tuple[int, float, LabelledConfiguration]]:
    """(mode, strain, item) of the strained cells: modes 1-3 stretch x, y, z, 4-6 shear."""
    path = SHARED / f"mlearn/{element}/training.json"
    description = load_description(DESCRIPTIONS / f"mlearn_{element.lower()}.yaml")
    cells = []
    entries = json.loads(path.read_text())
    for entry, item in zip(entries, read_labelled(path, description), strict=True):
        found = re.search(r"mode (\d), strain (\S+)", entry["description"])
        if found:
            cells.append((int(found[1]), float(found[2]), item))
    return cells


def cell_shears(item: LabelledConfiguration) -> np.ndarray:
    """(3,) twice the strain yz, xz, xy of a cell that was cubic."""
    cell = item.configuration.cell
    metric = cell @ cell.T / item.configuration.volume ** (2 / 3)
    return metric[[1, 0, 0], [2, 2, 1]]


def shear_stress(item: LabelledConfiguration) -> np.ndarray:
    """(3,) yz, xz, xy in GPa."""
    return item.label.stress[[1, 0, 0], [2, 2, 1]] / GPA


def test_mlearn_mo_gives_its_elastic_constants():
    """DFT: C11 = 472, C44 = 106 GPa (Zuo et al. 2020); all three shears, so the order too."""
    cells = elastic_cells("Mo")
    seen = set()
    for mode, strain, item in cells:
        if mode > 3 and abs(strain) <= 0.04:
            axis = int(np.argmax(np.abs(cell_shears(item))))
            c44 = shear_stress(item)[axis] / cell_shears(item)[axis]
            assert c44 == pytest.approx(106, rel=0.05)
            seen.add(axis)
    assert seen == {0, 1, 2}
    for mode in (1, 2, 3):
        pair = {s: item.label.stress[mode - 1, mode - 1] for m, s, item in cells if m == mode}
        strain = min(s for s in pair if s > 0 and -s in pair)
        c11 = (pair[strain] - pair[-strain]) / (2 * strain) / GPA
        assert c11 == pytest.approx(472, rel=0.05)


def test_mlearn_li_stress_is_the_slope_of_its_energies():
    cells = elastic_cells("Li")
    shears = set()
    for mode in (1, 2, 3):
        pair = {strain: item for m, strain, item in cells if m == mode}
        if 0.01 in pair and -0.01 in pair:
            up, down = pair[0.01], pair[-0.01]
            volume = (up.configuration.volume + down.configuration.volume) / 2
            slope = (up.label.energy - down.label.energy) / 0.02 / volume
            mean = (up.label.stress + down.label.stress)[mode - 1, mode - 1] / 2
            assert mean == pytest.approx(slope, rel=0.03)
            assert mean < 0  # held at less than its own volume: compressive
    for mode, _strain, item in cells:
        if mode > 3:
            axis = int(np.argmax(np.abs(cell_shears(item))))
            assert int(np.argmax(np.abs(shear_stress(item)))) == axis
            shears.add(axis)
    assert shears == {0, 1, 2}


def test_mlearn_snapshots_of_one_run_share_a_trajectory():
    description = load_description(DESCRIPTIONS / "mlearn_mo.yaml")
    items = list(read_labelled(SHARED / "mlearn/Mo/training.json", description))
    hot = [item for item in items if item.trajectory == "AIMD NVT simulation at 6000 K"]
    assert len(hot) == 36
