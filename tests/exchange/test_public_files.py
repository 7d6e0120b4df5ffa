"""Files as others publish them: their names, signs and gaps, as their own tools write them."""

from __future__ import annotations

import bz2
import gzip
import json
import logging
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from fw_nnp.core.errors import SpecError
from fw_nnp.core.units import GPA, HARTREE
from fw_nnp.exchange import (
    FileDescription,
    StressDescription,
    foreign_theory,
    load_description,
    read_labelled,
    write_labelled,
)

EV = FileDescription(energy="eV", length="Å", forces="eV/Å")


def squeezed(seed: int = 1) -> Atoms:
    """Rattled copper under pressure, with EMT: its stress is negative."""
    atoms = bulk("Cu", "fcc", a=3.5, cubic=True)
    atoms.rattle(0.05, seed=seed)
    atoms.calc = EMT()
    assert atoms.get_stress()[:3].sum() < 0
    return atoms


@pytest.fixture(scope="module")
def copper() -> Atoms:
    return squeezed()


def labelled(path: Path, description: FileDescription | None = None):
    (item,) = read_labelled(path, description)
    return item


def public(copper: Atoms, **info) -> Atoms:
    """The same atoms without a calculator, with `info`; arrays of N rows go to the atoms."""
    atoms = Atoms(copper.symbols, copper.positions, cell=copper.cell, pbc=True)
    for key, value in info.items():
        per_atom = np.shape(value) == (len(atoms), 3)
        (atoms.arrays if per_atom else atoms.info)[key] = value
    return atoms


# ---------------------------------------------------------------- extended XYZ


@pytest.mark.parametrize(
    ("energy", "forces", "third", "is_virial"),
    [
        ("REF_energy", "REF_forces", "REF_stress", False),  # MACE
        ("REF_energy", "REF_forces", "REF_virials", True),  # MACE
        ("energy", "force", "virial", True),  # GAP tungsten and carbon, GPUMD
        ("dft_energy", "dft_force", "dft_virial", True),  # GAP silicon
        ("DFT_energy", "DFT_forces", "DFT_stress", False),
        ("Energy", "Force", "Virial", True),
        ("free_energy", "forces", "virials", True),
        ("total_energy", "forces", "stress", False),  # NequIP
    ],
)
def test_names_and_signs_of_extxyz(copper, tmp_path, energy, forces, third, is_virial):
    stress = copper.get_stress(voigt=False)
    tensor = -copper.get_volume() * stress if is_virial else stress
    values = {energy: copper.get_potential_energy(), forces: copper.get_forces(), third: tensor}
    write(tmp_path / "a.xyz", public(copper, **values), format="extxyz", write_results=False)
    item = labelled(tmp_path / "a.xyz")
    assert item.label.energy == pytest.approx(copper.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(item.label.forces, copper.get_forces(), atol=1e-7)
    np.testing.assert_allclose(item.label.stress, stress, atol=1e-8)


def test_reference_labels_stand_above_predictions(copper, tmp_path):
    """MACE writes what it predicts beside what it was trained on."""
    both = public(copper, REF_energy=-1.0, energy=-2.0, MACE_energy=-3.0, formation_energy=-4.0)
    write(tmp_path / "a.xyz", both, format="extxyz")
    assert labelled(tmp_path / "a.xyz").label.energy == -1.0


def refused(path: Path, description: FileDescription | None = None) -> SpecError:
    with pytest.raises(SpecError) as caught:
        list(read_labelled(path, description))
    assert caught.value.place == f"{path}, frame 0"
    assert caught.value.remedy
    return caught.value


def test_two_answers_in_one_frame_are_refused(copper, tmp_path):
    write(tmp_path / "a.xyz", public(copper, energy=-2.0, dft_energy=-1.0), format="extxyz")
    error = refused(tmp_path / "a.xyz")
    assert "'dft_energy' and 'energy' could both be the energy" in error.message
    assert "names: {energy: energy}" in error.remedy
    named = EV.model_copy(update={"forces": None, "names": {"energy": "dft_energy"}})
    assert labelled(tmp_path / "a.xyz", named).label.energy == -1.0


def test_a_total_energy_yields_to_the_others(copper, tmp_path):
    """In a file of dynamics it has the kinetic energy in it."""
    energy = copper.get_potential_energy()
    for name in ("energy", "free_energy", "REF_energy"):
        write(tmp_path / "a.xyz", public(copper, total_energy=1.0, **{name: energy}))
        assert labelled(tmp_path / "a.xyz").label.energy == pytest.approx(energy)


def test_unknown_names_are_listed(copper, tmp_path):
    write(tmp_path / "a.xyz", public(copper, U_total=-2.0), format="extxyz")
    error = refused(tmp_path / "a.xyz")
    assert "no energy among" in error.message
    assert "U_total" in error.message


def test_forces_are_not_lost_in_silence(copper, tmp_path):
    columns = public(copper, energy=-2.0, atomic_forces=copper.get_forces())
    write(tmp_path / "a.xyz", columns, format="extxyz", write_results=False)
    assert "'atomic_forces'" in refused(tmp_path / "a.xyz").message
    named = EV.model_copy(update={"names": {"forces": "atomic_forces"}})
    assert labelled(tmp_path / "a.xyz", named).label.forces is not None
    without = EV.model_copy(update={"forces": None})
    assert labelled(tmp_path / "a.xyz", without).label.forces is None


def test_a_stress_with_the_sign_of_a_virial_is_refused(copper, tmp_path):
    stress = copper.get_stress(voigt=False)
    both = public(copper, energy=-2.0, virial=copper.get_volume() * stress, REF_stress=stress)
    write(tmp_path / "a.xyz", both, format="extxyz")
    assert "contradict each other: its sign is wrong" in refused(tmp_path / "a.xyz").message
    both.info["virial"] *= -1
    write(tmp_path / "a.xyz", both, format="extxyz")
    np.testing.assert_allclose(labelled(tmp_path / "a.xyz").label.stress, stress, atol=1e-8)


def test_six_numbers_of_a_virial_need_their_order(copper, tmp_path):
    stress = copper.get_stress(voigt=False)
    six = -copper.get_volume() * stress[[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]]
    write(tmp_path / "a.xyz", public(copper, energy=-2.0, virials=six), format="extxyz")
    assert "order is not known" in refused(tmp_path / "a.xyz").message
    how = StressDescription(
        quantity="virial", positive_in="compression", unit="eV", order="xx yy zz xy yz xz"
    )
    told = EV.model_copy(update={"forces": None, "stress": how})
    np.testing.assert_allclose(labelled(tmp_path / "a.xyz", told).label.stress, stress, atol=1e-8)


def test_what_has_no_volume_has_no_stress(tmp_path):
    water = molecule("H2O")
    water.info = {"energy": -14.2, "virial": np.zeros((3, 3)), "stress": np.zeros((3, 3))}
    write(tmp_path / "a.xyz", water, format="extxyz")
    item = labelled(tmp_path / "a.xyz")
    assert item.label.stress is None
    assert item.configuration.pbc == (False, False, False)


def test_a_slab_keeps_its_boundaries_and_nan_stress_is_none(copper, tmp_path):
    slab = public(copper, energy=-2.0, stress=np.full(6, np.nan))
    slab.pbc = [True, True, False]
    write(tmp_path / "a.xyz", slab, format="extxyz")
    item = labelled(tmp_path / "a.xyz")
    assert item.configuration.pbc == (True, True, False)
    assert item.label.stress is None


def test_nan_forces_are_refused_by_frame(copper, tmp_path):
    bad = public(copper, energy=-2.0, REF_forces=np.full((4, 3), np.nan))
    write(tmp_path / "a.xyz", bad, format="extxyz")
    assert "NaN" in refused(tmp_path / "a.xyz").message


# ---------------------------------------------------------------- ASE databases


def test_an_ase_database_with_and_without_stress(copper, tmp_path):
    free = {"energy": -1.5, "free_energy": -2.0, "forces": copper.get_forces()}
    with connect(tmp_path / "a.db") as database:
        database.write(copper)
        without = public(copper)
        without.calc = SinglePointCalculator(without, **free)
        database.write(without, trajectory="run-7")
        database.write(public(copper), key_value_pairs={"dft_energy": -3.0})
    full, no_stress, bare = read_labelled(tmp_path / "a.db")
    np.testing.assert_array_equal(full.label.stress, copper.get_stress(voigt=False))
    assert no_stress.label.stress is None
    assert no_stress.label.energy == -2.0
    assert no_stress.trajectory == "run-7"
    assert (bare.label.energy, bare.label.forces) == (-3.0, None)


def test_a_trajectory_of_ase(copper, tmp_path):
    write(tmp_path / "a.traj", [copper, squeezed(2)])
    first, second = read_labelled(tmp_path / "a.traj")
    np.testing.assert_array_equal(first.label.stress, copper.get_stress(voigt=False))
    np.testing.assert_array_equal(first.configuration.positions, copper.positions)
    assert second.label.energy == squeezed(2).get_potential_energy()


# ---------------------------------------------------------------- HDF5 in ANI style

DESCRIPTIONS = Path(__file__).parents[2] / "examples/descriptions"
ANI_1X = load_description(DESCRIPTIONS / "ani_1x.yaml")


def test_groups_of_molecules_with_gaps_as_in_ani_1x(tmp_path, caplog):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "ani.h5", "w") as file:
        for name, numbers in (("H2O1", [8, 1, 1]), ("C1H4", [6, 1, 1, 1, 1])):
            group = file.create_group(name)
            group["atomic_numbers"] = np.array(numbers, dtype=np.uint8)
            group["coordinates"] = rng.normal(size=(4, len(numbers), 3)).astype(np.float32)
            group["wb97x_dz.energy"] = [-76.0, np.nan, -76.1, -76.2]
            group["wb97x_dz.forces"] = rng.normal(size=(4, len(numbers), 3))
            group["ccsd(t)_cbs.energy"] = np.full(4, np.nan)
    with caplog.at_level(logging.WARNING):
        items = list(read_labelled(tmp_path / "ani.h5", ANI_1X))
    assert [item.configuration.formula for item in items] == ["CH4"] * 3 + ["H2O"] * 3
    assert items[0].label.energy == pytest.approx(-76.0 * HARTREE)
    assert items[0].configuration.pbc == (False, False, False)
    assert "1 of 4 rows have no energy" in caplog.text
    other = ANI_1X.model_copy(update={"names": {"energy": "ccsd(t)_cbs.energy"}, "forces": None})
    with pytest.raises(SpecError, match="no frames"):
        list(read_labelled(tmp_path / "ani.h5", other))


def test_units_per_mole(tmp_path):
    molar = FileDescription(energy="kcal/mol", length="Å", forces="kcal/mol/Å")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["m/species"] = np.array([1, 1])
        file["m/coordinates"] = [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]]]
        file["m/energies"] = [-23.060548]
        file["m/forces"] = [[[0.0, 0.0, 23.060548], [0.0, 0.0, -23.060548]]]
    item = labelled(tmp_path / "a.h5", molar)
    assert item.label.energy == pytest.approx(-1.0, rel=1e-6)
    assert item.label.forces[0, 2] == pytest.approx(1.0, rel=1e-6)


# ---------------------------------------------------------------- DeePMD


def deepmd(folder: Path, copper: Atoms, **changes) -> Path:
    """One system with one frame, as dpdata writes it; None leaves a file out."""
    part = folder / "set.000"
    part.mkdir(parents=True)
    virial = -copper.get_volume() * copper.get_stress(voigt=False)
    columns = {
        "coord": copper.positions.reshape(1, -1),
        "box": copper.cell.array.reshape(1, 9),
        "energy": np.array([copper.get_potential_energy()]),
        "force": copper.get_forces().reshape(1, -1),
        "virial": virial.reshape(1, 9),
        **changes,
    }
    for name, values in columns.items():
        if values is not None:
            np.save(part / f"{name}.npy", values)
    (folder / "type_map.raw").write_text("Ni\nCu\n")
    (folder / "type.raw").write_text("1\n1\n1\n1\n")
    return folder


def test_several_systems_below_one_folder(copper, tmp_path):
    deepmd(tmp_path / "data" / "one", copper)
    two = deepmd(tmp_path / "data" / "deep" / "two", copper, virial=None)
    (two / "type_map.raw").rename(tmp_path / "data" / "type_map.raw")  # one for all
    two, one = read_labelled(tmp_path / "data")
    np.testing.assert_allclose(one.label.stress, copper.get_stress(voigt=False), rtol=1e-12)
    assert two.label.stress is None
    assert one.configuration.id == two.configuration.id
    assert one.configuration.symbols == ["Cu"] * 4


def test_open_boundaries(copper, tmp_path):
    folder = deepmd(tmp_path / "a", copper)
    (folder / "nopbc").touch()
    item = labelled(folder)
    assert item.configuration.pbc == (False, False, False)
    assert item.label.stress is None
    with pytest.raises(SpecError, match=r"no box\.npy") as caught:
        list(read_labelled(deepmd(tmp_path / "b", copper, box=None)))
    assert "nopbc" in caught.value.remedy


def test_mixed_types_with_fillers(copper, tmp_path):
    """deepmd/npy/mixed: type.raw says nothing, each frame names its atoms; -1 fills the row."""
    folder = deepmd(tmp_path / "a", copper, real_atom_types=np.array([[1, 0, 1, -1]]))
    (folder / "type.raw").write_text("0\n0\n0\n0\n")
    item = labelled(folder)
    assert item.configuration.symbols == ["Cu", "Ni", "Cu"]
    np.testing.assert_array_equal(item.configuration.positions, copper.positions[:3])
    np.testing.assert_array_equal(item.label.forces, copper.get_forces()[:3])


def test_folders_of_text(copper, tmp_path):
    folder = deepmd(tmp_path / "a", copper)
    for file in (folder / "set.000").iterdir():
        np.savetxt(folder / f"{file.stem}.raw", np.atleast_2d(np.load(file)), fmt="%.18g")
    shutil.rmtree(folder / "set.000")
    item = labelled(folder)
    np.testing.assert_array_equal(item.configuration.positions, copper.positions)
    np.testing.assert_allclose(item.label.stress, copper.get_stress(voigt=False), rtol=1e-12)


def test_a_type_without_a_name_is_refused(copper, tmp_path):
    folder = deepmd(tmp_path / "a", copper)
    (folder / "type_map.raw").write_text("Cu\n")
    assert "names 1 elements" in str(refused(folder))


# ---------------------------------------------------------------- pymatgen JSON

KBAR = FileDescription(
    energy="eV",
    length="Å",
    forces="eV/Å",
    stress=StressDescription(quantity="stress", positive_in="compression", unit="kbar"),
)


def entries(copper: Atoms):
    """A structure of pymatgen, and the numbers as VASP prints them."""
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = AseAtomsAdaptor.get_structure(public(copper))
    return structure, {
        "energy": copper.get_potential_energy(),
        "forces": copper.get_forces().tolist(),
        "stress": (-10 * copper.get_stress(voigt=False) / GPA).tolist(),
    }


def checked(item, copper) -> None:
    assert item.label.energy == copper.get_potential_energy()
    np.testing.assert_allclose(item.label.forces, copper.get_forces(), atol=1e-12)
    np.testing.assert_allclose(item.label.stress, copper.get_stress(voigt=False), atol=1e-12)
    np.testing.assert_allclose(item.configuration.positions, copper.positions, atol=1e-10)


def test_entries_lists_nests_lines_and_arrays(copper, tmp_path):
    from monty.json import MontyEncoder
    from monty.serialization import dumpfn
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    structure, numbers = entries(copper)
    beside = {"structure": structure.as_dict(verbosity=0), **numbers}  # no Cartesian positions
    arrays = {k: np.array(v) for k, v in numbers.items() if k != "energy"}
    entry = ComputedStructureEntry(structure, numbers["energy"], data=arrays)
    with_sites = structure.copy(site_properties={"forces": numbers["forces"]})
    with_sites.properties = {k: v for k, v in numbers.items() if k != "forces"}
    dumpfn([entry], tmp_path / "entries.json", cls=MontyEncoder)
    dumpfn([with_sites], tmp_path / "structures.json")
    (tmp_path / "list.json").write_text(json.dumps([beside]))
    (tmp_path / "nest.json").write_text(json.dumps({"mp-30": {"mp-30-0-1": beside}}))
    (tmp_path / "lines.json").write_text(f"{json.dumps(beside)}\n{json.dumps(beside)}\n")
    for file in sorted(tmp_path.iterdir()):
        for item in read_labelled(file, KBAR):
            checked(item, copper)
    assert len(list(read_labelled(tmp_path / "lines.json", KBAR))) == 2


def test_structures_without_energies_say_what_they_have(copper, tmp_path):
    structure, numbers = entries(copper)
    mptrj = {"structure": structure.as_dict(), "uncorrected_total_energy": numbers["energy"]}
    (tmp_path / "a.json").write_text(json.dumps([mptrj]))
    bare = EV.model_copy(update={"forces": None})
    assert "uncorrected_total_energy" in refused(tmp_path / "a.json", bare).message
    named = bare.model_copy(update={"names": {"energy": "uncorrected_total_energy"}})
    assert labelled(tmp_path / "a.json", named).label.energy == numbers["energy"]
    mptrj |= {"force": numbers["forces"], "stress": numbers["stress"]}
    (tmp_path / "a.json").write_text(json.dumps({"mp-30": {"mp-30-0-1": mptrj}}))
    checked(labelled(tmp_path / "a.json", load_description(DESCRIPTIONS / "mptrj.yaml")), copper)


def test_a_description_stands_above_the_one_in_a_json_file(copper, tmp_path):
    """What we write says its units itself; another reading of it is another level of theory."""
    atoms = public(copper, energy=copper.get_potential_energy(), forces=copper.get_forces())
    write(tmp_path / "a.xyz", atoms)
    write_labelled(tmp_path / "a.json", read_labelled(tmp_path / "a.xyz"))
    (entry,) = json.loads((tmp_path / "a.json").read_text())
    assert entry["data"]["units"]["energy"] == "eV"
    alone = labelled(tmp_path / "a.json")
    assert alone.label.energy == labelled(tmp_path / "a.xyz").label.energy
    hartree = FileDescription(energy="Ha", length="Å", forces="Ha/Å")
    other = labelled(tmp_path / "a.json", hartree)
    assert other.label.energy == pytest.approx(HARTREE * alone.label.energy)
    assert other.label.theory_id != alone.label.theory_id
    entry["data"]["units"] = hartree.model_dump(mode="json")
    (tmp_path / "b.json").write_text(json.dumps([entry]))
    assert labelled(tmp_path / "b.json").label.energy == other.label.energy
    entry["data"]["units"]["energy"] = "furlong"
    (tmp_path / "b.json").write_text(json.dumps([entry]))
    with pytest.raises(SpecError, match="furlong") as caught:
        labelled(tmp_path / "b.json")
    assert str(tmp_path / "b.json") in caught.value.place


# ---------------------------------------------------------------- packed files


def test_packed_files_are_read_as_they_are(copper, tmp_path):
    plain = tmp_path / "a.xyz"
    write(plain, copper, format="extxyz")
    (tmp_path / "a.xyz.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "a.xyz.bz2").write_bytes(bz2.compress(plain.read_bytes()))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(plain, "folder/a.xyz")
    for name in ("a.xyz.gz", "a.xyz.bz2", "a.zip"):
        item = labelled(tmp_path / name)
        assert item.configuration.id == labelled(plain).configuration.id
        assert item.label.provenance["source"]["file"] == name
        # the level of theory is that of the content, packed or not
        assert foreign_theory(tmp_path / name).id == foreign_theory(plain).id
    deepmd(tmp_path / "system", copper)
    shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path / "system")
    assert labelled(tmp_path / "b.zip").configuration.symbols == ["Cu"] * 4


def test_numpy_archives_are_refused_with_what_can_be_read(copper, tmp_path):
    np.savez(tmp_path / "a.npz", E=np.zeros(2), R=np.zeros((2, 4, 3)))
    np.savez_compressed(tmp_path / "one.npz", R=np.zeros((2, 4, 3)))
    np.save(tmp_path / "a.npy", np.zeros(2))
    for name in ("a.npz", "one.npz", "a.npy"):
        with pytest.raises(SpecError) as caught:
            labelled(tmp_path / name)
        assert caught.value.place == str(tmp_path / name)
        assert "extended XYZ, HDF5" in caught.value.remedy
        if name == "a.npz":
            assert "NumPy arrays (E.npy, R.npy)" in caught.value.message


def test_archives_and_damage_are_refused(copper, tmp_path):
    plain = tmp_path / "a.xyz"
    write(plain, copper, format="extxyz")
    whole = gzip.compress(plain.read_bytes())
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    with pytest.raises(SpecError, match="cannot be unpacked"):
        list(read_labelled(tmp_path / "cut.gz"))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(plain, "a.xyz")
        archive.write(plain, "b.xyz")
    with pytest.raises(SpecError, match=r"2 files: a\.xyz, b\.xyz"):
        list(read_labelled(tmp_path / "two.zip"))
    shutil.make_archive(str(tmp_path / "c"), "gztar", tmp_path, "a.xyz")
    with pytest.raises(SpecError, match="archive of several files"):
        list(read_labelled(tmp_path / "c.tar.gz"))
