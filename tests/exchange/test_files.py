"""Files keep every bit, foreign readers agree with us, and broken files are refused by frame."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.io import read

from fw_nnp.core.atoms import from_atoms, label_from_calculator
from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Label, LabelledConfiguration
from fw_nnp.core.units import HARTREE
from fw_nnp.exchange import (
    FileDescription,
    StressDescription,
    foreign_theory,
    load_description,
    read_labelled,
    write_labelled,
)

FORMATS = {
    "extxyz": "a.extxyz",
    "mace": "b.xyz",
    "hdf5": "c.h5",
    "ase-db": "d.db",
    "deepmd": "e.deepmd",
    "mlearn": "f.json",
    "pymatgen": "g.json",
}
OPEN = [name for name in FORMATS if name != "mlearn"]  # those that know atoms without a cell
HARTREE_VIRIAL = FileDescription(
    energy="Ha",
    length="Å",
    forces="Ha/Å",
    stress=StressDescription(
        quantity="virial", positive_in="compression", unit="Ha", order="xx yy zz xy xz yz"
    ),
    species={"C": "Cu"},
)


def copper(strain: float, seed: int) -> LabelledConfiguration:
    """Four rattled, sheared copper atoms with their EMT label."""
    atoms = bulk("Cu", "fcc", a=3.6 * (1 + strain), cubic=True)
    atoms.rattle(0.05, seed=seed)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + np.diag([0.02, 0.01], 1)), scale_atoms=True)
    configuration = from_atoms(atoms)
    label = label_from_calculator(configuration, EMT(), "thy-emt")
    return LabelledConfiguration(
        configuration=configuration, label=label, trajectory=f"trj-{seed}", phase="solid"
    )


@pytest.fixture(scope="module")
def items() -> list[LabelledConfiguration]:
    return [copper(strain, seed) for seed, strain in enumerate((-0.05, 0.0, 0.05))]


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip_keeps_every_bit(name, items, tmp_path):
    path = tmp_path / FORMATS[name]
    assert write_labelled(path, iter(items), name) == 3
    back = list(read_labelled(path))
    assert len(back) == 3
    for old, new in zip(items, back, strict=True):
        assert new.configuration.id == old.configuration.id
        assert np.array_equal(new.configuration.positions, old.configuration.positions)
        assert np.array_equal(new.configuration.cell, old.configuration.cell)
        assert new.label.energy == old.label.energy
        assert np.array_equal(new.label.forces, old.label.forces)
        assert np.array_equal(new.label.stress, old.label.stress)
        assert (new.trajectory, new.phase) == (old.trajectory, old.phase)


@pytest.mark.parametrize("name", OPEN)
def test_an_isolated_molecule_and_missing_stress_survive(name, items, tmp_path):
    configuration = from_atoms(molecule("H2O"))
    lonely = LabelledConfiguration(
        configuration=configuration,
        label=Label(configuration_id=configuration.id, theory_id="thy-x", energy=-3.0),
    )
    path = tmp_path / FORMATS[name]
    write_labelled(path, [items[0], lonely], name)
    back = next(i for i in read_labelled(path) if i.configuration.n_atoms == 3)
    assert back.configuration.id == configuration.id
    assert (back.label.forces, back.label.stress) == (None, None)
    assert back.trajectory == configuration.id  # its own trajectory, since none is stated


def test_ase_reads_what_we_write(items, tmp_path):
    write_labelled(tmp_path / "a.extxyz", items)
    for item, atoms in zip(items, read(tmp_path / "a.extxyz", ":"), strict=True):
        fresh = atoms.copy()
        fresh.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy())
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), atol=1e-12)
        np.testing.assert_allclose(atoms.get_stress(), fresh.get_stress(), atol=1e-12)
        assert atoms.info["label"] == item.label.id


def test_mace_keys_are_plain_info_and_arrays(items, tmp_path):
    write_labelled(tmp_path / "a.xyz", items, "mace")
    atoms = read(tmp_path / "a.xyz", 0)
    assert atoms.calc is None
    assert atoms.info["REF_energy"] == items[0].label.energy
    assert atoms.arrays["REF_forces"].shape == (4, 3)
    assert np.size(atoms.info["REF_stress"]) == 9


def test_forces_belong_to_the_free_energy(items, tmp_path):
    """VASP through ASE writes both energies; forces are the derivative of free_energy."""
    path = tmp_path / "a.extxyz"
    write_labelled(path, items[:1])
    path.write_text(path.read_text().replace(" energy=", " free_energy=-7.5 energy="))
    assert next(read_labelled(path)).label.energy == -7.5


def write_ani(path: Path, items: list[LabelledConfiguration], virial_name: str = "virial") -> None:
    """HDF5 as the ANI tools write it: Hartree, virial = +P V, and carbon for every atom."""
    with h5py.File(path, "w") as file:
        group = file.create_group("mols/mol")
        group["species"] = np.array([b"C"] * 4)
        group["coordinates"] = [item.configuration.positions for item in items]
        group["cell"] = [item.configuration.cell for item in items]
        group["energies"] = [item.label.energy / HARTREE for item in items]
        group["forces"] = [item.label.forces / HARTREE for item in items]
        rows, columns = [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]
        group[virial_name] = [
            -item.label.stress[rows, columns] * item.configuration.volume / HARTREE
            for item in items
        ]


def test_ani_file_with_description(items, tmp_path):
    write_ani(tmp_path / "ani.h5", items)
    back = list(read_labelled(tmp_path / "ani.h5", HARTREE_VIRIAL))
    for old, new in zip(items, back, strict=True):
        assert new.configuration.elements == ["Cu"]
        assert new.label.energy == pytest.approx(old.label.energy, abs=1e-10)
        np.testing.assert_allclose(new.label.forces, old.label.forces, atol=1e-10)
        np.testing.assert_allclose(new.label.stress, old.label.stress, atol=1e-10)


def test_described_stress_is_the_derivative_of_the_energy(tmp_path):
    """(1/V) dE/d(strain) by central differences of the energies in the file, per component."""
    middle, step = copper(-0.03, 7), 1e-4
    strained = []
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] = strain[j, i] = sign * step * (1.0 if i == j else 0.5)
            atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
            atoms.cell = middle.configuration.cell @ (np.eye(3) + strain)
            atoms.positions = middle.configuration.positions @ (np.eye(3) + strain)
            configuration = from_atoms(atoms)
            label = label_from_calculator(configuration, EMT(), "thy-emt")
            strained.append(LabelledConfiguration(configuration=configuration, label=label))
    write_ani(tmp_path / "ani.h5", [middle, *strained])
    first, *others = read_labelled(tmp_path / "ani.h5", HARTREE_VIRIAL)
    energies = np.array([item.label.energy for item in others]).reshape(6, 2)
    slopes = (energies[:, 0] - energies[:, 1]) / (2 * step * first.configuration.volume)
    stress = first.label.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    np.testing.assert_allclose(stress, slopes, atol=1e-6)
    assert np.trace(first.label.stress) < 0  # squeezed by 3 %: compressive is negative


def test_files_described_alike_share_a_level_of_theory(items, tmp_path):
    for name, part in (("a.h5", items), ("b.h5", items[:1])):
        write_ani(tmp_path / name, part)
    named = HARTREE_VIRIAL.model_copy(update={"theory": "EMT"})
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    assert foreign_theory(a, named).id == foreign_theory(b, named).id
    assert foreign_theory(a, HARTREE_VIRIAL).id != foreign_theory(b, HARTREE_VIRIAL).id
    assert foreign_theory(a, named).code == "file"
    first = next(read_labelled(a, named))
    assert first.label.theory_id == foreign_theory(a, named).id
    assert first.label.provenance["source"] == {"file": "a.h5", "frame": 0}


# ---------------------------------------------------------------- what is refused


def refused(path: Path, description: FileDescription | None = None) -> SpecError:
    with pytest.raises(SpecError) as caught:
        list(read_labelled(path, description))
    assert str(path) in caught.value.place
    return caught.value


def test_hdf5_without_units_is_refused(items, tmp_path):
    write_ani(tmp_path / "ani.h5", items)
    error = refused(tmp_path / "ani.h5")
    assert "does not say its units" in error.message
    assert "examples/descriptions" in error.remedy


def test_a_described_quantity_that_is_absent_is_refused(items, tmp_path):
    """A misspelt dataset must not train a potential without stress, silently."""
    write_ani(tmp_path / "ani.h5", items, virial_name="virials")
    assert "no stress" in refused(tmp_path / "ani.h5", HARTREE_VIRIAL).message
    named = HARTREE_VIRIAL.model_copy(update={"names": {"stress": "virials"}})
    assert next(read_labelled(tmp_path / "ani.h5", named)).label.stress is not None


def test_blocks_of_different_length_are_refused(items, tmp_path):
    write_ani(tmp_path / "ani.h5", items)
    with h5py.File(tmp_path / "ani.h5", "a") as file:
        del file["mols/mol/energies"]
        file["mols/mol/energies"] = [1.0]
    assert "has 1 rows" in refused(tmp_path / "ani.h5", HARTREE_VIRIAL).message


def test_a_broken_frame_is_named(items, tmp_path):
    path = tmp_path / "a.extxyz"
    write_labelled(path, items)
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:-2]))
    error = refused(path)
    assert error.place.endswith("frame 2")
    assert "after 2 of 4 atoms" in error.message
    path.write_text("".join(whole[:8]) + "Cu not a number\n" + "".join(whole[9:]))
    assert refused(path).place.endswith("frame 1")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" energy=", " enrgy=", "no energy"),
        ("Cu ", "Qq ", "Qq"),
        (" energy=", " energy=nan old=", "not finite"),
    ],
)
def test_bad_frames_are_refused(items, tmp_path, old, new, message):
    path = tmp_path / "a.extxyz"
    write_labelled(path, items)
    path.write_text(path.read_text().replace(old, new))
    error = refused(path)
    assert error.place.endswith("frame 0")
    assert message in error.message


@pytest.mark.parametrize("content", [b"", b"energy, forces\n1, 2\n", b"\x89PNG\r\n\x1a\n"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "a.extxyz"
    path.write_bytes(content)
    error = refused(path)
    assert "unknown format" in error.message
    assert "extended XYZ, HDF5" in error.remedy


@pytest.mark.parametrize("content", ['[{"structure": {"sit', '{"a": ', '[{"outputs": '])
def test_a_cut_json_file_is_refused(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(content)
    error = refused(path)
    assert error.place == str(path)
    assert "cannot be read" in error.message


def test_missing_and_empty_files_are_refused(tmp_path):
    assert "No such file" in refused(tmp_path / "absent.h5").message
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table other (x)")
    refused(tmp_path / "a.db")
    (tmp_path / "a.json").write_text("[]")
    assert "no frames" in refused(tmp_path / "a.json", HARTREE_VIRIAL).message
    (tmp_path / "b.json").write_text(json.dumps([{"structure": {}}]))
    assert refused(tmp_path / "b.json", HARTREE_VIRIAL).place.endswith("frame 0")


def test_nothing_half_written(items, tmp_path):
    path = tmp_path / "a.extxyz"
    write_labelled(path, items[:1])
    before = path.read_bytes()

    def breaks():
        yield items[1]
        raise RuntimeError("the source broke")

    for name in FORMATS:
        with pytest.raises(RuntimeError):
            write_labelled(path, breaks(), name)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.extxyz"]


def test_nothing_and_nowhere_are_refused(items, tmp_path):
    for name, file in FORMATS.items():
        with pytest.raises(SpecError, match="nothing to write"):
            write_labelled(tmp_path / file, [], name)
        with pytest.raises(SpecError, match="no such folder"):
            write_labelled(tmp_path / "absent" / file, items, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("species", np.array([29]), "1 species for 4 atoms"),
        ("species", np.full((3, 4), 29), "one list per block"),
        ("species", np.full(4, 290), "cannot be read"),
        ("energies", np.zeros((3, 2)), "cannot be read"),
        ("forces", np.full((3, 4, 3), np.nan), "NaN"),
        ("forces", np.zeros((3, 5, 3)), "shape"),
        ("virial", np.zeros((3, 4)), "4 numbers"),
        ("species", None, "no group holds"),
        ("energies", None, "no energy"),
    ],
)
def test_bad_columns_are_refused(items, tmp_path, name, value, message):
    path = tmp_path / "ani.h5"
    write_ani(path, items)
    with h5py.File(path, "a") as file:
        del file[f"mols/mol/{name}"]
        if value is not None:
            file[f"mols/mol/{name}"] = value
    assert message in refused(path, HARTREE_VIRIAL).message


def test_a_truncated_hdf5_file_is_refused(items, tmp_path):
    path = tmp_path / "ani.h5"
    write_ani(path, items)
    path.write_bytes(path.read_bytes()[:2000])
    assert "truncated" in refused(path, HARTREE_VIRIAL).message


def test_unknown_format_is_refused(items, tmp_path):
    with pytest.raises(SpecError, match="did you mean 'extxyz'"):
        write_labelled(tmp_path / "a.dat", items, "extxz")
    with pytest.raises(SpecError, match=r"no format is called '\.dat'"):
        write_labelled(tmp_path / "a.dat", items)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy: eV\nlength: furlong\n", "furlong"),
        ("energy: eV\nlength: Å\nforces: eV\n", "eV/Å"),
        ("energy: eV\nlength: Å\nforce: eV/Å\n", "did you mean 'forces'"),
        ("energy: eV\nlength: Å\nspecies: {C: Nickel}\n", "no chemical element"),
        (
            "energy: eV\nlength: Å\nstress: {quantity: virial, positive_in: tension, unit: kbar}\n",
            "kbar",
        ),
        (
            "energy: eV\nlength: Å\n"
            "stress: {quantity: stress, positive_in: tension, unit: GPa, order: xx yy}\n",
            "once each",
        ),
    ],
)
def test_wrong_descriptions_are_refused(text, message, tmp_path):
    path = tmp_path / "d.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        load_description(path)
