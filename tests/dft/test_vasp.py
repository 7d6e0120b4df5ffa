"""VASP: the theory, and the real custodian with our filter over a stand-in for the program."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import stand_in_vasp
from ase.calculators.emt import EMT
from pydantic import ValidationError

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.errors import CorrectionRefused, LabelError, SpecError
from fw_nnp.core.records import Configuration, Label, Quarantine
from fw_nnp.core.specs import VaspSpec
from fw_nnp.dft import make_labeler, relabel, theory_of
from fw_nnp.dft.labeler import corrections

STAND_IN = Path(__file__).parents[1] / "stand_in_vasp.py"
# The head that pymatgen reads; no potential.
POTCAR = """  PAW_PBE {symbol} 01Jan2026
 3.00000000000000
 parameters from PSCTR are:
   VRHFIN ={element}: s2p1
   LEXCH  = PE
   EATOM  =    53.7 eV,    3.9 Ry
   TITEL  = PAW_PBE {symbol} 01Jan2026
   LULTRA =        F    use ultrasoft PP ?
   POMASS =   26.982; ZVAL   =    3.000    mass and valenz
   ENMAX  =  240.300; ENMIN  =  180.225 eV
 END of PSCTR-controll parameters
 local part
   1.00000000000000
   0.10000000E+00  0.20000000E+00
 End of Dataset
"""
THEORY = {"code": "vasp", "elements": ["Al", "Cu"], "potcar_dir": "potcars"}


def vasp(**changes: object) -> VaspSpec:
    return VaspSpec.model_validate({**THEORY, **changes})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A campaign's folder with made-up POTCARs: titles and an end, nothing of the real ones."""
    for functional in ("POT_GGA_PAW_PBE", "POT_PAW_PBE_64", "POT_GGA_PAW_PBE_54"):
        folder = tmp_path / "potcars" / functional
        folder.mkdir(parents=True)
        for symbol in ("Al", "Cu", "Cu_pv"):
            element = symbol.split("_")[0]
            text = POTCAR.format(symbol=symbol, element=element)
            (folder / f"POTCAR.{symbol}").write_text(text)
    return tmp_path


@pytest.fixture
def labeler(base: Path):
    def make(*, allow_physics: bool = False, **changes: object):
        return make_labeler(
            vasp(**changes),
            programs={"vasp": [sys.executable, str(STAND_IN)]},
            base=base,
            allow_physics=allow_physics,
        )

    return make


def alloy() -> Configuration:
    """Five atoms in a skewed cell, elements mixed."""
    rng = np.random.default_rng(3)
    cell = np.array([[5.2, 0.1, 0.0], [0.0, 5.0, 0.3], [0.2, 0.0, 5.5]])
    scaled = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.5, 0.5, 0.5]])
    positions = scaled @ cell + 0.1 * rng.normal(size=(5, 3))
    return Configuration(cell=cell, positions=positions, numbers=[29, 13, 29, 13, 13])


# ---------------------------------------------------------------- the level of theory


def test_the_fingerprint_holds_what_changes_the_answer(base):
    plain = theory_of(vasp(), base=base)
    assert plain.id == theory_of(vasp(), base=base).id
    for change in (
        {"k_spacing": 0.3},
        {"incar": {"ENCUT": 400}},
        {"preset": "matpes"},
        {"preset": "mp"},
        {"potcars": {"Cu": "Cu"}},
        {"magmom": {"Cu": 1.0}},
        {"hubbard": {"Cu-3d": "4 eV"}},
        {"incar": {"IVDW": 12}},
        {"version": "6.4.2"},
    ):
        assert theory_of(vasp(**change), base=base).id != plain.id, change
    (base / "potcars" / "POT_GGA_PAW_PBE" / "POTCAR.Al").write_text(
        "  PAW_PBE Al 02Jan2026\n End of Dataset\n"
    )
    assert theory_of(vasp(), base=base).id != plain.id


@pytest.mark.parametrize("preset", ["mp", "mp_metal", "matpes", "matpes_r2scan"])
def test_every_preset_is_a_single_point(preset, base):
    incar = theory_of(vasp(preset=preset), base=base).settings["incar"]
    assert (incar["NSW"], incar["IBRION"], incar["ISIF"]) == (0, -1, 2)
    assert incar["LDAU"] is False
    assert incar["EDIFF"] == 1e-6
    assert ("METAGGA" in incar) == (preset == "matpes_r2scan")
    assert incar["ISMEAR"] == {"mp": -5, "mp_metal": 1}.get(preset, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"incar": {"ENCAT": 400}}, "did you mean 'ENCUT'"),
        ({"incar": {"NSW": 10}}, "set by fw_nnp"),
        ({"incar": {"LDAUU": [4, 0]}}, "hubbard"),
        ({"elements": ["Al", "Ni"]}, "no POTCAR 'Ni"),
        ({"potcar_functional": "PBE_55"}, "did you mean"),
    ],
)
def test_mistakes_are_named(change, message, base):
    with pytest.raises(SpecError, match=message):
        theory_of(vasp(**change), base=base)


def test_dft_u_follows_the_elements_of_each_configuration(labeler, tmp_path):
    made = labeler(hubbard={"Cu-3d": "4 eV"})
    made.write(alloy(), tmp_path)
    incar = stand_in_vasp.read_incar(tmp_path / "INCAR")
    assert (incar["LDAUL"], incar["LDAUU"], incar["LMAXMIX"]) == ("-1 2", "0.0 4.0", "4")
    aluminium = Configuration(cell=4 * np.eye(3), positions=[[0, 0, 0]], numbers=[13])
    made.write(aluminium, tmp_path)
    assert stand_in_vasp.read_incar(tmp_path / "INCAR")["LDAU"] == ".FALSE."
    with pytest.raises(ValidationError, match="no element 'Fe'"):
        vasp(hubbard={"Fe-3d": "4 eV"})


def test_without_potcars_there_is_a_way_out(base, monkeypatch):
    from pymatgen.core import SETTINGS

    monkeypatch.delenv("PMG_VASP_PSP_DIR", raising=False)
    monkeypatch.delitem(SETTINGS, "PMG_VASP_PSP_DIR", raising=False)
    with pytest.raises(SpecError) as caught:
        theory_of(vasp(potcar_dir=""), base=base)
    assert "PMG_VASP_PSP_DIR" in str(caught.value)
    assert "ships none" in caught.value.remedy
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(base / "potcars"))
    assert theory_of(vasp(potcar_dir=""), base=base).id == theory_of(vasp(), base=base).id


# ---------------------------------------------------------------- the label


def test_energy_forces_and_stress_come_back_in_our_order_and_units(labeler, tmp_path):
    asked = alloy()
    label = relabel(asked, labeler(), tmp_path / "run", max_attempts=1)
    assert isinstance(label, Label), label
    atoms = to_atoms(asked)
    atoms.calc = EMT()
    assert label.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(label.forces, atoms.get_forces(), atol=1e-6)
    np.testing.assert_allclose(label.stress, atoms.get_stress(voigt=False), atol=1e-7)
    assert label.provenance["version"] == "6.4.2"
    assert label.provenance["corrections"] == []


def test_moments_follow_the_order_of_the_poscar(labeler, tmp_path):
    labeler(magmom={"Cu": 2.0, "Al": 0.5}).write(alloy(), tmp_path / "run")
    incar = (tmp_path / "run" / "INCAR").read_text()
    assert "MAGMOM = 0.5 0.5 0.5 2.0 2.0\n" in incar
    assert "KSPACING = 0.22\n" in incar
    titles = (tmp_path / "run" / "POTCAR").read_text()
    assert titles.index("PAW_PBE Al") < titles.index("PAW_PBE Cu")


def test_another_version_is_no_answer(labeler, tmp_path):
    answer = relabel(alloy(), labeler(version="5.4"), tmp_path / "run", max_attempts=1)
    assert isinstance(answer, Quarantine)
    assert "6.4.2" in answer.reason
    assert isinstance(
        relabel(alloy(), labeler(version="6.4"), tmp_path / "run", max_attempts=1), Label
    )


def test_the_answer_to_another_question_is_refused(labeler, tmp_path):
    made = labeler()
    relabel(alloy(), made, tmp_path / "run", max_attempts=1)
    moved = alloy().positions.copy()
    moved[0, 0] += 0.01
    other = Configuration(cell=alloy().cell, positions=moved, numbers=alloy().numbers)
    with pytest.raises(LabelError, match="other atoms"):
        made.read(other, tmp_path / "run")


# ---------------------------------------------------------------- failures of the program

REPAIRED = [
    ("brmix", "IMIX = 1"),
    ("edddav", "ALGO = All"),
    ("zheev", "ALGO = Normal"),
    ("pssyevx", "ALGO = Normal"),
    ("zpotrf", "ISYM = 0"),
    ("posmap", "SYMPREC"),
    ("pricelv", "SYMPREC"),
    ("ksymm", "SYMPREC"),
    ("too_few_bands", "NBANDS"),
    ("rhosyg", "SYMPREC"),
    ("point_group", "ISYM = 0"),
    ("kpoints_trans", "ISYM = 0"),
    ("zbrent", "EDIFF"),
    ("unconverged", "NELM = 200"),
    ("cut", "run once more"),
    ("killed", "run once more"),
]


QUICK = {"brmix", "edddav", "kpoints_trans", "unconverged", "killed"}


@pytest.mark.parametrize(
    ("failure", "action"),
    [
        pytest.param(*case, id=case[0], marks=[] if case[0] in QUICK else [pytest.mark.slow])
        for case in REPAIRED
    ],
)
def test_numerical_and_resource_repairs_are_done_and_recorded(
    failure, action, labeler, tmp_path, monkeypatch
):
    monkeypatch.setenv("STAND_IN_VASP", failure)
    made = labeler(incar={"ALGO": "Fast", "NBANDS": 40})
    label = relabel(alloy(), made, tmp_path / "run", max_attempts=6)
    assert isinstance(label, Label), label
    done = label.provenance["corrections"]
    assert action in " ".join(record["action"] for record in done)
    assert {record["kind"] for record in done} <= {"numerical", "resource"}
    assert label.theory_id == made.theory.id


PHYSICS = [
    ("tet", "ISMEAR"),
    ("dentet", "KSPACING"),
    ("real_optlay", "LREAL"),
    ("rspher", "LREAL"),
    ("triple_product", "POSCAR"),
    ("subspacematrix", "LREAL"),
]


@pytest.mark.parametrize(
    ("failure", "change"),
    [
        pytest.param(*case, id=case[0], marks=[] if case[0] == "dentet" else [pytest.mark.slow])
        for case in PHYSICS
    ],
)
def test_physics_repairs_are_refused_with_their_diff(
    failure, change, labeler, tmp_path, monkeypatch
):
    monkeypatch.setenv("STAND_IN_VASP", failure)
    made = labeler(incar={"LREAL": "Auto"})
    before = made.theory.settings["incar"]
    answer = relabel(alloy(), made, tmp_path / "run", max_attempts=4)
    assert isinstance(answer, Quarantine)
    assert answer.error_class in (failure, "tetirr")
    assert change in " ".join(answer.evidence["refused"])
    assert "allow_physics_changes" in answer.evidence["remedy"]
    incar = (tmp_path / "run" / "INCAR").read_text()
    assert f"ISMEAR = {before['ISMEAR']}\n" in incar
    assert "LREAL = Auto\n" in incar
    with pytest.raises(CorrectionRefused):
        made.read(alloy(), tmp_path / "run")


def test_an_allowed_physics_change_makes_another_level_of_theory(labeler, tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_IN_VASP", "tet")
    made = labeler(allow_physics=True)
    label = relabel(alloy(), made, tmp_path / "run", max_attempts=4)
    assert isinstance(label, Label)
    assert label.theory_id != made.theory.id
    settings = label.provenance["theory"]["settings"]
    assert settings["changed"] == ["ISMEAR = 0", "SIGMA = 0.05"]
    assert settings["potcars"] == made.theory.settings["potcars"]


def test_a_failure_that_stays_ends_in_quarantine_with_its_attempts(labeler, tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_IN_VASP", "brmix!")
    answer = relabel(alloy(), labeler(), tmp_path / "run", max_attempts=3)
    assert isinstance(answer, Quarantine)
    assert answer.error_class == "brmix"
    assert "BRMIX" in answer.reason
    assert len(corrections(tmp_path / "run")) == len(list((tmp_path / "run").glob("attempt-*"))) > 0
    assert answer.evidence["corrections"]


def test_the_stand_in_says_what_custodian_listens_for():
    from custodian.vasp.handlers import StdErrHandler, VaspErrorHandler
    from stand_in_vasp import _messages

    known = {**VaspErrorHandler.error_msgs, **StdErrHandler.error_msgs}
    assert set(_messages()) == set(known)
    for key, text in _messages().items():
        assert any(message in text for message in known[key]), key


def test_pymatgen_reads_what_the_stand_in_writes(labeler, tmp_path):
    from pymatgen.io.vasp.outputs import Oszicar, Outcar, Vasprun

    relabel(alloy(), labeler(), tmp_path / "run", max_attempts=1)
    run = Vasprun(tmp_path / "run" / "vasprun.xml", parse_dos=False, parse_eigen=False)
    label = labeler().read(alloy(), tmp_path / "run")
    assert run.converged
    assert run.final_structure.composition.reduced_formula == "Al3Cu2"
    assert label.energy == pytest.approx(run.ionic_steps[-1]["e_fr_energy"], abs=1e-9)
    assert Oszicar(tmp_path / "run" / "OSZICAR").final_energy == pytest.approx(label.energy)
    assert not Outcar(tmp_path / "run" / "OUTCAR").is_stopped
