"""Trees of finished calculations: what is read, what is left out, and at which level of theory."""

from __future__ import annotations

import gzip
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from fw_nnp.core.errors import FwNnpError, OutputUnreadable
from fw_nnp.core.records import Label
from fw_nnp.core.units import GPA, RYDBERG
from fw_nnp.dft import make_labeler, relabel, theory_of
from fw_nnp.dft.finished import Calculation, read_calculations
from fw_nnp.dft.stated import Grid, roundest

from .conftest import DATA, espresso, pair
from .test_vasp import STAND_IN, alloy, base, vasp  # noqa: F401

SHARED = Path(__file__).parents[3] / "shared/data"


def read(folder: Path, known=()) -> tuple[list[Calculation], dict[str, str]]:
    """Calculations, and folder -> why something in it was left out."""
    found = list(read_calculations(folder, known))
    good = [one for one in found if isinstance(one, Calculation)]
    bad = {Path(e.place).parent.name: str(e) for e in found if isinstance(e, FwNnpError)}
    return good, bad


# ---------------------------------------------------------------- VASP


@pytest.mark.skipif(not (SHARED / "vasp").exists(), reason="needs ../shared/data/vasp")
def test_a_tree_of_vasp_calculations():
    from pymatgen.io.vasp import Vasprun

    found, refused = read(SHARED / "vasp")
    assert "cut off" in refused["bad_vasprun"]
    assert "did not converge" in refused["unconverged"]
    good = {c.path.parent.name: c for c in found}
    io = good["io"]
    assert io.path.name == "vasprun.xml.gz"  # and not the OUTCAR of the same run
    vasprun = Vasprun(io.path, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    assert io.theory.code == "vasp"
    titles = [of["title"] for of in io.theory.settings["potcars"].values()]
    assert titles == [spec["titel"] for spec in vasprun.potcar_spec]
    assert io.theory.settings["incar"]["ENCUT"] == 520.0
    assert "IBRION" not in io.theory.settings["incar"]  # a step of a relaxation is a single point
    for item, step in zip(io.items, vasprun.ionic_steps, strict=True):
        assert item.label.energy == pytest.approx(step["e_fr_energy"], abs=1e-8)
        np.testing.assert_allclose(item.label.forces, step["forces"], atol=1e-8)
        # VASP writes kbar, positive where the cell wants to expand; ours is positive in tension
        np.testing.assert_allclose(
            item.label.stress, -0.1 * GPA * np.array(step["stress"]), atol=1e-7
        )
        assert item.trajectory == io.items[0].trajectory


@pytest.mark.skipif(not (SHARED / "vasp").exists(), reason="needs ../shared/data/vasp")
def test_outcar_and_vasprun_of_one_run_agree(tmp_path):
    for name, called in (("vasprun.xml.gz", "a/run7.gz"), ("OUTCAR.gz", "b/screen.output.gz")):
        (tmp_path / called).parent.mkdir()
        shutil.copy(SHARED / "vasp/io" / name, tmp_path / called)
    (xml, outcar), left_out = read(tmp_path)
    assert left_out == {}
    assert len(xml.items) == len(outcar.items) > 1
    for one, two in zip(xml.items, outcar.items, strict=True):
        assert one.label.energy == pytest.approx(two.label.energy, abs=1e-6)
        np.testing.assert_allclose(one.label.forces, two.label.forces, atol=1e-5)
        np.testing.assert_allclose(one.label.stress, two.label.stress, atol=1e-5)
    assert xml.theory.id == outcar.theory.id


def test_vasp_of_a_campaign_is_at_the_level_of_the_campaign(base, tmp_path):  # noqa: F811
    spec = vasp(incar={"ISPIN": 2}, potcars={"Cu": "Cu"}, magmom={"Cu": 0.3})
    labeler = make_labeler(spec, programs={"vasp": [sys.executable, str(STAND_IN)]}, base=base)
    label = relabel(alloy(), labeler, tmp_path / "runs" / "one", max_attempts=1)
    assert isinstance(label, Label)
    theory = theory_of(spec, base=base)
    others = [
        theory_of(spec.model_copy(update=change), base=base)
        for change in (
            {"incar": {"ISPIN": 1}},
            {"incar": {"ISPIN": 2, "ENCUT": 300}},
            {"potcars": {"Cu": "Cu_pv"}},
            {"magmom": {"Cu": 2.0}},
            {"k_spacing": 0.2},
        )
    ]
    assert theory.id not in {other.id for other in others}
    (run,), left_out = read(tmp_path / "runs", [*others, theory])
    assert left_out == {}
    assert run.theory.id == theory.id
    assert run.items[0].label.energy == pytest.approx(label.energy, abs=1e-7)
    (alone,), _ = read(tmp_path / "runs", others)
    assert alone.theory.id not in {theory.id, *(other.id for other in others)}
    assert alone.theory.settings["k_spacing"] == spec.k_spacing


# ---------------------------------------------------------------- pw.x


def place(name: str, folder: Path) -> None:
    """A recorded run as pw.x leaves it: input, standard output, XML twice."""
    (folder / "out/fw.save").mkdir(parents=True)
    shutil.copy(DATA / name / "pw.in", folder / "al.inp")
    shutil.copy(DATA / name / "pw.out", folder / "slurm-17.txt")
    shutil.copy(DATA / name / "data-file-schema.xml", folder / "out/fw.save")
    shutil.copy(DATA / name / "data-file-schema.xml", folder / "out/fw.xml")


def test_runs_of_pw_in_sub_folders_whatever_they_are_called(tmp_path):
    for name in ("good", "not_converged", "claims_convergence", "moved"):
        place(name, tmp_path / "deep" / name)
    found, _ = read(tmp_path)
    left_out = [e for e in read_calculations(tmp_path) if isinstance(e, FwNnpError)]
    good = {c.path.parents[2].name: c for c in found}
    assert sorted(good) == ["good", "moved"]
    assert {Path(e.place).parents[2].name for e in left_out if e.place.endswith("xml")} == {
        "not_converged",
        "claims_convergence",
    }
    (item,) = good["good"].items
    assert item.configuration.id == pair().id
    # the step of the relaxation is that of the positions before they moved
    (step,) = good["moved"].items
    np.testing.assert_allclose(step.configuration.positions, pair().positions, atol=1e-8)


def test_the_standard_output_alone_gives_the_same_label(tmp_path):
    place("good", tmp_path / "whole")
    place("good", tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare/out")
    output = tmp_path / "bare/slurm-17.txt"
    (tmp_path / "bare/slurm-17.txt.gz").write_bytes(gzip.compress(output.read_bytes()))
    output.unlink()
    (bare, whole), left_out = read(tmp_path)
    assert left_out == {}
    one, two = bare.items[0], whole.items[0]
    assert one.configuration.id == two.configuration.id  # its positions are those of the input
    assert one.label.energy == pytest.approx(two.label.energy, abs=1e-6)
    np.testing.assert_allclose(one.label.forces, two.label.forces, atol=1e-6)
    np.testing.assert_allclose(one.label.stress, two.label.stress, atol=1e-6)  # 8 decimals
    assert bare.theory.id == whole.theory.id


def test_the_mesh_is_found_in_the_list_of_k_points(tmp_path):
    shutil.copy(DATA / "good/pw.out", tmp_path / "pw.out")
    shutil.copytree(DATA / "good", tmp_path / "whole")
    (bare, whole), _ = read(tmp_path)
    assert bare.theory.settings["k_shift"] is True
    assert bare.theory.id == whole.theory.id


def test_pw_of_a_campaign_is_at_the_level_of_the_campaign(tmp_path):
    place("good", tmp_path / "run")
    theory = theory_of(espresso(), base=Path())
    others = [
        theory_of(espresso(**change), base=Path())
        for change in ({"k_spacing": 0.5}, {"degauss": "0.1 Ry"}, {"conv_thr": 1e-12})
    ]
    (run,), _ = read(tmp_path, [*others, theory])
    assert run.theory.id == theory.id
    # where no campaign was before: the roundest rules, in the form that a campaign has
    (alone,), _ = read(tmp_path)
    assert alone.theory.settings.keys() == theory.settings.keys()
    assert alone.theory.settings["pseudopotentials"] == theory.settings["pseudopotentials"]
    again = espresso(k_spacing=alone.theory.settings["k_spacing"], bands=1.4)
    assert alone.theory.id == theory_of(again, base=Path()).id


def test_remarks_of_pw_are_no_positions(tmp_path):
    """pw.x names the card where its units were left out."""
    shutil.copytree(DATA / "good", tmp_path / "plain")
    shutil.copytree(DATA / "good", tmp_path / "remarked")
    for folder in ("plain", "remarked"):
        (tmp_path / folder / "data-file-schema.xml").unlink()
    output = tmp_path / "remarked" / "pw.out"
    said = "     Message from routine read_cards :\n     ATOMIC_POSITIONS: units set to alat\n"
    text = output.read_text()
    output.write_text(re.sub(r"(Program PWSCF[^\n]*\n)", rf"\g<1>{said}", text, count=1))
    (plain, remarked), left_out = read(tmp_path)
    assert left_out == {}
    assert plain.items[0].configuration.id == remarked.items[0].configuration.id


def test_the_energy_of_a_hybrid_is_that_of_its_last_cycle(tmp_path):
    output = tmp_path / "run" / "pw.out"
    output.parent.mkdir()
    text = (DATA / "good" / "pw.out").read_text()
    last = "!!   total energy              =      -7.50000000 Ry\n"
    reached = text.replace("     Forces acting", last + "     Forces acting", 1)
    output.write_text(reached)
    (run,), _ = read(tmp_path)
    assert run.items[0].label.energy == pytest.approx(-7.5 * RYDBERG, abs=1e-9)
    failed = "     EXX convergence NOT achieved after 100 iterations: stopping\n"
    output.write_text(text.replace("     Forces acting", last + failed + "     Forces acting", 1))
    found, refused = read(tmp_path)
    assert found == []
    assert "did not converge" in refused["run"]


@pytest.mark.engines
def test_a_relaxation_gives_every_step(pw, tmp_path):
    """Real pw.x: XML and standard output tell the same story, step by step."""
    import subprocess

    text = (DATA / "moved/pw.in").read_text().replace("nstep=1", "nstep=3")
    pseudo = Path(__file__).parents[2] / "fw_nnp/dft/pseudo"
    folder = tmp_path / "relax"
    folder.mkdir()
    (folder / "relax.in").write_text(text.replace("pseudo_dir='pseudo'", f"pseudo_dir='{pseudo}'"))
    with (folder / "relax.out").open("w") as out:
        subprocess.run([*pw, "-i", "relax.in"], cwd=folder, stdout=out, check=False, timeout=120)
    shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("out"))
    (bare, full), left_out = read(tmp_path)
    assert left_out == {}
    assert full.path.suffix == ".xml"
    assert len(full.items) == len(bare.items) == 3
    for one, two in zip(full.items, bare.items, strict=True):
        np.testing.assert_allclose(
            one.configuration.positions, two.configuration.positions, atol=1e-6
        )
        assert one.label.energy == pytest.approx(two.label.energy, abs=1e-6)
        np.testing.assert_allclose(one.label.forces, two.label.forces, atol=1e-6)
    energies = [item.label.energy for item in full.items]
    assert energies[-1] < energies[0]
    assert len({item.trajectory for item in full.items}) == 1
    assert bare.theory.id == full.theory.id


PW = """
     Program PWSCF v.7.2 starts on  1Jan2026 at  0:00:00
     bravais-lattice index     =            0
     lattice parameter (alat)  =       7.6534  a.u.
     unit-cell volume          =     112.0730 (a.u.)^3
     number of atoms/cell      =            1
     number of atomic types    =            1
     kinetic-energy cutoff     =      25.0000  Ry
     charge density cutoff     =     100.0000  Ry
     Exchange-correlation= PBE
     MD5 check sum: 614279c88ff8d45c90147292d03ed420
     number of k points=     8  Methfessel-Paxton smearing, width (Ry)=  0.0500
     convergence NOT achieved after 100 iterations: stopping
     JOB DONE.
"""


@pytest.mark.parametrize(
    ("text", "message"), [(PW, "did not converge"), (PW.replace("JOB DONE", ""), "cut off")]
)
def test_bad_pw_outputs_are_named(text, message, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "pw.out").write_text(text)
    (tmp_path / "run" / "notes.out").write_text("nothing of the kind")
    (found,) = read_calculations(tmp_path)
    assert isinstance(found, OutputUnreadable)
    assert message in str(found)
    assert "pw.out" in found.place


# ---------------------------------------------------------------- rules


def test_the_roundest_number_of_a_range():
    assert roundest(0.19, 0.26) == 0.2
    assert roundest(0.21, 0.26) == 0.23
    assert roundest(0.2, 0.2000001) == 0.2
    assert roundest(1.583, 1.604) == 1.6
    assert roundest(3.0, float("inf")) == 4.0


def test_a_mesh_tells_the_spacings_that_make_it():
    grid = Grid(np.diag([2.8, 2.9, 4.1]), (3, 3, 2), True)
    low, high = grid.spacings
    for spacing in np.linspace(low, high - 1e-9, 7):
        assert grid.made_by(float(spacing))
    assert not grid.made_by(0.999 * low)
    assert not grid.made_by(high)
