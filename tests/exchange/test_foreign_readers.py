"""Other programs read what we write, and mean the same: above all the sign of the stress."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read

from fw_nnp.core.atoms import from_atoms, label_from_calculator
from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Label, LabelledConfiguration
from fw_nnp.exchange import read_labelled, write_labelled


@pytest.fixture(scope="module")
def items() -> list[LabelledConfiguration]:
    """Squeezed, sheared, rattled copper, two sizes, by EMT: all stresses are compressive."""
    made = []
    for seed, repeat in enumerate((1, 1, 2)):
        atoms = bulk("Cu", "fcc", a=3.45, cubic=True).repeat((repeat, 1, 1))
        atoms.rattle(0.05, seed=seed)
        sheared = atoms.cell.array @ (np.eye(3) + np.diag([0.02, 0.01], 1))
        atoms.set_cell(sheared, scale_atoms=True)
        configuration = from_atoms(atoms)
        label = label_from_calculator(configuration, EMT(), "thy-emt")
        assert np.trace(label.stress) < 0
        made.append(LabelledConfiguration(configuration=configuration, label=label))
    return made


def test_ase_reads_the_stress_of_every_file_that_it_knows(items, tmp_path):
    for name in ("a.extxyz", "b.db"):
        write_labelled(tmp_path / name, items)
        for item, atoms in zip(items, read(tmp_path / name, ":"), strict=True):
            np.testing.assert_allclose(atoms.get_stress(voigt=False), item.label.stress, atol=1e-14)
            np.testing.assert_array_equal(atoms.get_forces(), item.label.forces)


def test_dpdata_reads_our_deepmd_folders(items, tmp_path):
    dpdata = pytest.importorskip("dpdata")
    write_labelled(tmp_path / "a.deepmd", items)
    systems = [
        dpdata.LabeledSystem(str(folder), fmt="deepmd/npy")
        for folder in sorted((tmp_path / "a.deepmd").iterdir())
    ]
    assert sorted(len(system) for system in systems) == [1, 2]
    by_energy = {item.label.energy: item for item in items}
    for system in systems:
        for i, energy in enumerate(system["energies"]):
            item = by_energy[float(energy)]
            np.testing.assert_array_equal(system["forces"][i], item.label.forces)
            np.testing.assert_array_equal(system["coords"][i], item.configuration.positions)
            # dpdata itself: virial = -volume x ASE's stress
            virial = -item.configuration.volume * item.label.stress
            np.testing.assert_allclose(system["virials"][i], virial, rtol=1e-12)
            assert system.data["atom_names"] == ["Cu"]


def test_we_read_what_dpdata_writes_from_ase(items, tmp_path):
    dpdata = pytest.importorskip("dpdata")
    write_labelled(tmp_path / "a.extxyz", items[:1])
    dpdata.LabeledSystem(read(tmp_path / "a.extxyz"), fmt="ase/structure").to(
        "deepmd/npy", str(tmp_path / "theirs"), prec=np.float64
    )
    (back,) = read_labelled(tmp_path / "theirs")
    np.testing.assert_allclose(back.label.stress, items[0].label.stress, atol=1e-10)
    np.testing.assert_allclose(back.label.forces, items[0].label.forces, atol=1e-12)


def test_pymatgen_makes_its_own_objects_of_our_json(items, tmp_path):
    from monty.serialization import loadfn

    write_labelled(tmp_path / "a.json", items)
    for item, entry in zip(items, loadfn(tmp_path / "a.json"), strict=True):
        assert type(entry).__name__ == "ComputedStructureEntry"
        assert entry.energy == item.label.energy
        np.testing.assert_allclose(
            entry.structure.cart_coords, item.configuration.positions, atol=1e-12
        )
        np.testing.assert_array_equal(entry.data["stress"], item.label.stress)


def test_pymatgen_reads_the_structures_of_our_mlearn_files(items, tmp_path):
    import json

    from pymatgen.core import Structure

    write_labelled(tmp_path / "a.json", items, "mlearn")
    for item, entry in zip(items, json.loads((tmp_path / "a.json").read_text()), strict=True):
        structure = Structure.from_dict(entry["structure"])
        np.testing.assert_allclose(structure.lattice.matrix, item.configuration.cell)
        xx, yy, zz, yz, xz, xy = entry["outputs"]["virial_stress"]
        found = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
        np.testing.assert_allclose(found, item.label.stress, atol=1e-15)


def test_what_a_format_cannot_say_is_refused(items, tmp_path):
    slab = bulk("Cu", cubic=True)
    slab.pbc = [True, True, False]
    configuration = from_atoms(slab)
    label = Label(configuration_id=configuration.id, theory_id="thy-x", energy=1.0)
    flat = LabelledConfiguration(configuration=configuration, label=label)
    for name in ("deepmd", "mlearn"):
        with pytest.raises(SpecError, match="periodic"):
            write_labelled(tmp_path / "a.x", [*items, flat], name)
    assert list(tmp_path.iterdir()) == []


def test_deepmd_stress_and_virial_must_agree(items, tmp_path):
    write_labelled(tmp_path / "a.deepmd", items[:1])
    (file,) = tmp_path.rglob("stress.npy")
    np.save(file, -np.load(file))
    with pytest.raises(SpecError, match="contradict"):
        list(read_labelled(tmp_path / "a.deepmd"))
    file.unlink()
    (back,) = read_labelled(tmp_path / "a.deepmd")
    np.testing.assert_allclose(back.label.stress, items[0].label.stress, rtol=1e-12)
