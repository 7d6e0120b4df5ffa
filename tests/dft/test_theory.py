"""The fingerprint of a level of theory follows what changes the answer, and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration
from fw_nnp.core.specs import EspressoSpec
from fw_nnp.core.units import RYDBERG
from fw_nnp.dft import make_labeler, theory_of
from fw_nnp.dft.espresso_input import k_grid, keyword, pw_input, with_keyword
from fw_nnp.dft.theory import SHIPPED, pseudopotentials, resolved

from .conftest import espresso, pair

UPF = "Al.pbe-fwnnp.UPF"


def test_a_pseudopotential_enters_by_its_content(tmp_path: Path):
    shutil.copy(SHIPPED / UPF, tmp_path / "mine.upf")
    shipped = theory_of(espresso(), base=tmp_path)
    own = espresso(pseudo_dir=".", pseudopotentials={"Al": "mine.upf"})
    assert theory_of(own, base=tmp_path).id == shipped.id
    with (tmp_path / "mine.upf").open("a") as file:
        file.write("\n")
    assert theory_of(own, base=tmp_path).id != shipped.id


@pytest.mark.parametrize(
    "change",
    [
        {"ecutwfc": "9 Ry"},
        {"k_spacing": 0.8},
        {"k_shift": False},
        {"degauss": "0.1 Ry"},
        {"smearing": "mp"},
        {"bands": 1.7},
        {"spin": True},
        {"input_dft": "PBESOL"},
        {"hubbard": {"Al-3p": "1 eV"}},
        {"hubbard": {"Al-3p": "1 eV"}, "hubbard_projectors": "atomic"},
        {"vdw_corr": "grimme-d3"},
        {"extra": {"system": {"vdw_corr": "d3"}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_physical_setting_is_in_the_fingerprint(change):
    assert theory_of(espresso(**change), base=Path()).id != theory_of(espresso(), base=Path()).id


def test_a_missing_pseudopotential_names_file_folder_and_what_is_there(tmp_path: Path):
    with pytest.raises(SpecError) as caught:
        theory_of(espresso(pseudopotentials={"Al": "Al.upf"}), base=tmp_path)
    for word in ("Al.upf", str(SHIPPED), UPF):
        assert word in str(caught.value)


def test_a_theory_without_its_program_or_potential_is_refused():
    from fw_nnp.core.specs import EmpiricalSpec, PotentialSpec

    with pytest.raises(SpecError, match=r"pw\.x"):
        make_labeler(espresso(), programs={}, base=Path())
    empirical = EmpiricalSpec(
        code="empirical", potential=PotentialSpec(engine="emt", elements=["Al"])
    )
    with pytest.raises(SpecError, match="needs its potential"):
        make_labeler(empirical, programs={}, base=Path())


def test_keywords_that_fw_nnp_sets_cannot_be_set_behind_its_back():
    spec = espresso(extra={"control": {"tstress": False}})
    with pytest.raises(SpecError, match="tstress"):
        pw_input(pair(), spec, pseudopotentials(spec, base=Path()))


@pytest.mark.parametrize(("repeat", "grid"), [((1, 1, 1), 4), ((2, 2, 2), 2), ((4, 4, 4), 1)])
def test_k_grids_of_cell_and_supercell_are_equally_dense(repeat, grid):
    cell = 4.05 * np.diag(repeat)
    assert k_grid(cell, 0.42) == (grid,) * 3


def test_k_spacing_is_an_upper_bound_in_skewed_cells():
    cell = np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.3]])
    reciprocal = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell).T, axis=1)
    for spacing in (0.2, 0.5, 1.0):
        steps = reciprocal / k_grid(cell, spacing)
        assert (steps <= spacing + 1e-6).all()


def test_the_input_asks_for_everything_a_label_needs():
    spec = espresso(spin=True, starting_magnetization={"Al": 0.3})
    text = pw_input(pair(), spec, pseudopotentials(spec, base=Path()))
    assert keyword(text, "tprnfor") == keyword(text, "tstress") == ".true."
    assert float(keyword(text, "ecutwfc")) == pytest.approx(8.0)
    assert float(keyword(text, "ecutrho")) == pytest.approx(32.0)
    assert keyword(text, "nbnd") == "7"
    assert keyword(text, "starting_magnetization(1)") == "0.3"
    assert "K_POINTS automatic\n3 3 2 1 1 1\n" in text
    assert "Al 1.400000000000 1.508000000000 1.927000000000" in text


def test_bands_grow_with_the_cell():
    spec = espresso()
    one = pair()
    cell = np.diag([4.0, 4.0, 20.0])
    ten = Configuration(
        cell=cell, positions=np.outer(np.arange(10), [0.0, 0.0, 2.0]), numbers=[13] * 10
    )
    pseudos = pseudopotentials(spec, base=Path())
    bands = [int(keyword(pw_input(c, spec, pseudos), "nbnd")) for c in (one, ten)]
    assert bands == [7, 24]  # never fewer than four empty; 1.6 x 15


def test_a_keyword_is_replaced_or_added_once():
    text = "&electrons\n  conv_thr = 1e-09\n/\n"
    replaced = with_keyword(text, "electrons", "conv_thr", 1e-10)
    assert replaced == "&electrons\n  conv_thr = 1e-10\n/\n"
    added = with_keyword(text, "electrons", "mixing_beta", 0.2)
    assert keyword(added, "mixing_beta") == "0.2"
    assert keyword(added, "conv_thr") == "1e-09"


@pytest.mark.parametrize(
    "line", ['  <PP_HEADER z_valence="3.0000"', 'z_valence="  3.00"', "    3.0   Z valence"]
)
def test_valence_of_both_upf_versions(line, tmp_path: Path):
    (tmp_path / "a.upf").write_text(line + "\n")
    spec = espresso(pseudo_dir=".", pseudopotentials={"Al": "a.upf"})
    assert pseudopotentials(spec, base=tmp_path)["Al"].valence == 3.0


def test_a_file_that_is_no_pseudopotential_is_refused(tmp_path: Path):
    (tmp_path / "a.upf").write_text("hello\n")
    with pytest.raises(SpecError, match="valence"):
        theory_of(espresso(pseudo_dir=".", pseudopotentials={"Al": "a.upf"}), base=tmp_path)


# ---------------------------------------------------------------- presets, library tables


LIBRARY = {
    "pseudo_dir": ".",
    "elements": ["Al"],
    "code": "espresso",
    "preset": "metal",
}


def library(folder: Path, **row: object) -> EspressoSpec:
    """A folder with one file and the table of a library, as SSSP ships it."""
    content = (SHIPPED / UPF).read_bytes()
    (folder / UPF).write_bytes(content)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    table = {"Al": {"filename": UPF, "md5": md5, "cutoff_wfc": 20.0, "cutoff_rho": 160.0, **row}}
    (folder / "SSSP_test.json").write_text(json.dumps(table))
    return EspressoSpec.model_validate(LIBRARY)


@pytest.mark.parametrize(("preset", "spacing"), [("metal_fast", 0.25), ("metal_precise", 0.15)])
def test_a_preset_fills_in_what_is_not_stated(preset, spacing):
    stated = {"code": "espresso", "pseudopotentials": {"Al": UPF}, "ecutwfc": "20 Ry"}
    spec = EspressoSpec.model_validate({**stated, "preset": preset})
    assert spec.k_spacing == spacing
    other = EspressoSpec.model_validate({**stated, "preset": preset, "degauss": "0.04 Ry"})
    assert (other.k_spacing, other.bands) == (spacing, spec.bands)
    assert other.degauss == pytest.approx(0.04 * RYDBERG)
    # The stored spec is complete, and the name of the preset changes nothing.
    stored = EspressoSpec.model_validate(spec.model_dump(mode="json"))
    assert stored == spec
    plain = spec.model_dump(mode="json") | {"preset": ""}
    ids = {theory_of(s, base=Path()).id for s in (spec, EspressoSpec.model_validate(plain))}
    assert len(ids) == 1


def test_a_library_names_files_and_cutoffs(tmp_path: Path):
    spec = resolved(library(tmp_path), base=tmp_path)
    assert spec.pseudopotentials == {"Al": UPF}
    assert spec.ecutwfc == pytest.approx(20.0 * RYDBERG)
    assert spec.ecutrho == pytest.approx(160.0 * RYDBERG)
    settings = theory_of(library(tmp_path), base=tmp_path).settings
    assert settings["ecutwfc"] == spec.ecutwfc
    explicit = spec.model_copy(update={"elements": []})
    assert theory_of(explicit, base=tmp_path).id == theory_of(spec, base=tmp_path).id


def test_a_library_is_refused_where_it_cannot_be_trusted(tmp_path: Path):
    with pytest.raises(SpecError, match="md5"):
        resolved(library(tmp_path, md5="0" * 32), base=tmp_path)
    copper = EspressoSpec.model_validate({**LIBRARY, "elements": ["Cu"]})
    with pytest.raises(SpecError, match="has no Cu"):
        resolved(copper, base=tmp_path)
    (tmp_path / "SSSP_test.json").unlink()
    with pytest.raises(SpecError, match="one table"):
        resolved(EspressoSpec.model_validate(LIBRARY), base=tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"preset": "metall"}, "preset"),
        ({"pseudopotentials": {}}, "name the elements"),
        ({"ecutwfc": None}, "ecutwfc is missing"),
        ({"hubbard": {"Fe-3d": "4 eV"}}, "no element 'Fe'"),
        ({"hubbard": {"Al3p": "4 eV"}}, "hubbard"),
        ({"starting_magnetization": {"Al": 0.3}}, "spin: true"),
        ({"spin": True, "starting_magnetization": {"Ni": 0.3}}, "no element 'Ni'"),
        ({"vdw_corr": "d3"}, "grimme-d3"),
    ],
)
def test_what_does_not_fit_is_said_at_once(change, said):
    with pytest.raises(ValidationError, match=said):
        espresso(**change)


def test_dft_u_and_dispersion_are_written():
    spec = espresso(hubbard={"Al-3p": "1.5 eV"}, vdw_corr="grimme-d3")
    text = pw_input(pair(), spec, pseudopotentials(spec, base=Path()))
    assert text.endswith("HUBBARD {ortho-atomic}\nU Al-3p 1.500000\n")
    assert keyword(text, "vdw_corr") == "'grimme-d3'"
