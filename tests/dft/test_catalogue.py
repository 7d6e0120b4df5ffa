"""Every class of the catalogue is recognised from its text, and its ladder keeps the physics."""

from __future__ import annotations

from pathlib import Path

import pytest

from fw_nnp.core.errors import CorrectionRefused, OutputUnreadable
from fw_nnp.dft import catalogue
from fw_nnp.dft.custody import ProgramJob
from fw_nnp.dft.diagnose import diagnose
from fw_nnp.dft.espresso_input import keyword
from fw_nnp.dft.espresso_repairs import EspressoRepairs, apply
from fw_nnp.dft.espresso_verdict import next_action, still_falling
from fw_nnp.dft.verdict import as_error

HEAD = "     Program PWSCF v.7.2 starts on 23Nov2026 at  9:45:14\n"
BOX = (
    " %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%\n     Error in routine {0} ({1}):\n     {2}\n"
    " %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%\n\n     stopping ...\n"
)
FALLING = "".join(
    f"     estimated scf accuracy    <       {10.0**-i:.8f} Ry\n" for i in range(1, 6)
)
STUCK = "     estimated scf accuracy    <       0.30000000 Ry\n" * 6
NOT_ACHIEVED = "     convergence NOT achieved after 100 iterations: stopping\n"
INPUT = "&system\n  nbnd = 10\n/\n&electrons\n  conv_thr = 1e-08\n/\n"

# (class, kind of the remedy, next action, text of standard output, text of standard error)
CASES = [
    ("memory", "resource", "one pool", "", "slurmstepd: error: Detected 1 oom-kill event(s)\n"),
    (
        "geometry",
        "none",
        "reject",
        BOX.format("check_atoms", 1, "atoms #   1 and #   2 overlap!"),
        "",
    ),
    (
        "geometry",
        "none",
        "reject",
        BOX.format("check_atoms", 1, "atoms #   1 and #   2 differ by lattice vector (0,0,1)"),
        "",
    ),
    (
        "bands",
        "physics",
        "smearing",
        BOX.format("electrons", 1, "charge is wrong: smearing is needed"),
        "",
    ),
    (
        "bands",
        "numerical",
        "more bands",
        BOX.format("efermig", 1, "internal error, cannot bracket Ef"),
        "",
    ),
    ("bands", "numerical", "more bands", BOX.format("electrons", 1, "charge is wrong"), ""),
    (
        "diagonalization",
        "numerical",
        "ppcg",
        BOX.format("cdiaghg", 32, "problems computing cholesky"),
        "",
    ),
    (
        "diagonalization",
        "numerical",
        "ppcg",
        BOX.format("cdiaghg", 8, "S matrix not positive definite"),
        "",
    ),
    (
        "diagonalization",
        "numerical",
        "ppcg",
        BOX.format("c_bands", 1, "too many bands are not converged"),
        "",
    ),
    (
        "diagonalization",
        "numerical",
        "ppcg",
        BOX.format("cdiaghg", 3, "eigenvectors failed to converge"),
        "",
    ),
    ("diagonalization", "numerical", "ppcg", BOX.format("rdiaghg", 3, "zhegvd failed"), ""),
    ("diagonalization", "numerical", "ppcg", BOX.format("ppcg", 3, "[Q, R] = qr(X, 0) failed"), ""),
    ("broyden", "numerical", "mixing_ndim", BOX.format("broyden", 2, "factorization"), ""),
    ("symmetry", "numerical", "nosym", BOX.format("set_sym_bl", 1, "not orthogonal operation"), ""),
    ("symmetry", "numerical", "nosym", BOX.format("smallgk", 1, "lone vector"), ""),
    (
        "parallel_layout",
        "resource",
        "one pool",
        BOX.format("data_structure", 1, "Some processors have no plane waves!"),
        "",
    ),
    (
        "parallel_layout",
        "resource",
        "one pool",
        BOX.format("laxlib_init", 1, "Too few bands for required ndiag"),
        "",
    ),
    (
        "parallel_layout",
        "resource",
        "one pool",
        BOX.format("mp_start_pools", 1, "invalid number of pools, out of range"),
        "",
    ),
    ("walltime", "none", "time", "     Maximum CPU time exceeded\n", ""),
    (
        "walltime",
        "none",
        "time",
        "",
        "slurmstepd: error: *** JOB 7 CANCELLED DUE TO TIME LIMIT ***\n",
    ),
    (
        "io",
        "resource",
        "clean scratch",
        BOX.format("davcio", 10, "error while reading from file"),
        "",
    ),
    ("frozen", "resource", "run once more", "", "fw_nnp: silent for 601 s, ended as frozen\n"),
    ("io", "resource", "clean scratch", "", "forrtl: No space left on device\n"),
    (
        "input",
        "none",
        "correct",
        BOX.format("read_namelists", 1, "bad line in namelist &system"),
        "",
    ),
    ("scf_not_converged", "numerical", "double", FALLING + NOT_ACHIEVED, ""),
    ("scf_not_converged", "numerical", "mixing_beta 0.4", STUCK + NOT_ACHIEVED, ""),
    ("truncated", "resource", "run once more", FALLING, ""),
    (
        "symmetry",
        "numerical",
        "nosym",
        BOX.format("d_matrix", 1, "D_S (l=2) for this symmetry operation is not orthogonal"),
        "",
    ),
    (
        "symmetry",
        "numerical",
        "nosym",
        BOX.format("divide_class", 1, "Wrong classes for D_2h"),
        "",
    ),
    (
        "bands",
        "numerical",
        "more bands",
        BOX.format("setup", 1, "too few spin up bands"),
        "",
    ),
    (
        "memory",
        "resource",
        "one pool",
        BOX.format("cegterg", 1, " cannot allocate psi "),
        "",
    ),
    (
        "parallel_layout",
        "resource",
        "one pool",
        BOX.format("mp_start_images", 1, "n. of images must be divisor of nproc"),
        "",
    ),
    (
        "io",
        "resource",
        "clean scratch",
        BOX.format("setup_file_property_hdf5", 1, "error opening wfc1.hdf5"),
        "",
    ),
    (
        "input",
        "none",
        "correct",
        BOX.format("stres_mgga", 1, "noncollinear stress + meta-GGA not implemented"),
        "",
    ),
    (
        "input",
        "none",
        "correct",
        BOX.format("init_lda_plus_u", 1, "lda_plus_u calculation but Hubbard_l not set"),
        "",
    ),
    ("unknown", "none", "look up", BOX.format("mystery", 1, "nobody expected this"), ""),
]


def outputs(directory: Path, stdout: str, stderr: str = "") -> Path:
    """A directory in which pw.x left these texts and no XML; the names do not matter."""
    directory.mkdir(exist_ok=True)
    (directory / "run.in").write_text(INPUT.replace("&system", "&control\n/\n&system"))
    (directory / "any.log").write_text(HEAD + stdout)
    (directory / "errors").write_text(stderr)
    return directory


@pytest.mark.parametrize(
    ("error_class", "remedy", "action", "stdout", "stderr"),
    CASES,
    ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)],
)
def test_a_symptom_is_recognised(error_class, remedy, action, stdout, stderr, tmp_path):
    diagnosis = diagnose(outputs(tmp_path, stdout, stderr))
    assert (diagnosis.error_class, diagnosis.remedy) == (error_class, remedy)
    assert action in diagnosis.next_action
    if error_class != "truncated":
        quoted = (tmp_path / diagnosis.evidence.file).read_text().splitlines()
        assert quoted[diagnosis.evidence.line - 1].strip() in diagnosis.evidence.text


def test_every_class_has_a_case():
    # These two are seen in numbers: test_proof.py.
    by_number = {"force_quality", "incomplete"}
    assert {case[0] for case in CASES} | by_number == {s.error_class for s in catalogue.ALL}


def test_an_empty_directory_is_truncated(tmp_path):
    assert diagnose(tmp_path).error_class == "truncated"


def test_the_cause_wins_over_the_effect(tmp_path):
    """A run killed for memory is also cut off; a wrong layout also has an error box."""
    directory = outputs(tmp_path, FALLING, "oom-kill\n")
    assert diagnose(directory).error_class == "memory"


def test_no_physics_is_hidden_in_a_numerical_rung():
    physics = {"degauss", "smearing", "occupations", "ecutwfc", "ecutrho", "input_dft", "nspin"}
    for symptom in catalogue.ALL:
        for action in symptom.ladder:
            changed = {key for keywords in action.keywords.values() for key in keywords}
            assert not changed & physics
            assert action.kind == "physics" or action.keywords or action.options or action.name


def test_a_ladder_is_walked_once_and_ends():
    for symptom in catalogue.ALL:
        done: list[str] = []
        while (action := next_action(symptom, done, STUCK)) is not None:
            assert action.name not in done
            done.append(action.name)
        assert done == [action.name for action in symptom.ladder]


@pytest.mark.parametrize(
    ("accuracy", "falling"),
    [
        ([1.0, 0.1, 0.01, 1e-3, 1e-4], True),
        ([1.0, 0.3, 0.3, 0.3, 0.3, 0.3], False),
        ([1.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0], False),
        ([0.5], True),
        ([], False),
    ],
)
def test_the_slope_decides_about_more_steps(accuracy, falling):
    assert still_falling(accuracy) == falling


def repairs() -> EspressoRepairs:
    job = ProgramJob(["pw.x"], stdout="o", stderr="e", volatile=[], banner="Program PWSCF")
    return EspressoRepairs(job, "run.in")


def test_corrections_are_done_and_recorded(tmp_path):
    directory = outputs(tmp_path, STUCK + NOT_ACHIEVED)
    handler = repairs()
    seen = []
    for _ in range(6):
        assert handler.check(directory)
        (record,) = handler.correct(directory)["actions"]
        seen.append(record["action"])
    assert len(set(seen)) == 6
    text = (directory / "run.in").read_text()
    assert keyword(text, "mixing_beta") == "0.1"
    assert keyword(text, "diagonalization") == "'cg'"
    assert handler.check(directory)
    assert handler.correct(directory)["actions"] is None  # the ladder is at its end


def test_physics_is_refused(tmp_path):
    smearing = BOX.format("electrons", 1, "charge is wrong: smearing is needed")
    directory = outputs(tmp_path, smearing)
    before = (directory / "run.in").read_text()
    handler = repairs()
    assert handler.check(directory)
    assert handler.correct(directory)["actions"] is None
    assert (directory / "run.in").read_text() == before
    error = as_error(diagnose(directory), directory)
    assert isinstance(error, CorrectionRefused)
    assert error.error_class == "bands"


def test_options_go_to_the_command_line(tmp_path):
    text = BOX.format("data_structure", 1, "Some processors have no plane waves!")
    handler = repairs()
    assert handler.check(outputs(tmp_path, text))
    handler.correct(tmp_path)
    assert handler.job.options == ["-nk", "1", "-ndiag", "1"]


def test_a_truncated_run_is_repeated_once(tmp_path):
    handler = repairs()
    outputs(tmp_path, "")
    assert handler.check(tmp_path)
    assert handler.correct(tmp_path)["actions"]
    assert handler.check(tmp_path)
    assert handler.correct(tmp_path)["actions"] is None
    assert isinstance(as_error(diagnose(tmp_path), tmp_path), OutputUnreadable)


@pytest.mark.parametrize(
    ("symptom", "key", "new"),
    [
        (catalogue.MORE_BANDS, "nbnd", "13"),
        (catalogue.FORCE_QUALITY, "conv_thr", "1e-09"),
    ],
)
def test_values_are_scaled(symptom, key, new, tmp_path):
    outputs(tmp_path, "")
    changes = apply(symptom.ladder[0], tmp_path / "run.in")
    assert float(keyword((tmp_path / "run.in").read_text(), key)) == pytest.approx(float(new))
    assert "->" in changes[key]
