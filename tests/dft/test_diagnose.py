"""Diagnosis of foreign folders: whatever the names, versions and codes, success is proved."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fw_nnp.core.units import GPA
from fw_nnp.dft import make_labeler
from fw_nnp.dft.diagnose import diagnose
from fw_nnp.dft.espresso_input import with_keyword
from fw_nnp.dft.espresso_stdout import read_stdout
from fw_nnp.dft.finished import Calculation, read_calculations
from fw_nnp.dft.outputs import find_outputs

from .conftest import DATA, espresso, pair

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "vasp"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data/vasp")


@pytest.fixture
def folder(tmp_path: Path):
    """Put recorded outputs of pw.x under odd names; returns the folder."""

    def place(name: str, stdout: str = "aiida.out", xml: str = "schema.xml") -> Path:
        shutil.copy(DATA / name / "pw.out", tmp_path / stdout)
        shutil.copy(DATA / name / "data-file-schema.xml", tmp_path / xml)
        return tmp_path

    return place


def change(path: Path, pattern: str, new: str) -> None:
    text = path.read_text()
    changed = re.sub(pattern, new, text, flags=re.DOTALL)
    assert changed != text
    path.write_text(changed)


# ---------------------------------------------------------------- pw.x


@pytest.mark.parametrize(
    ("name", "error_class", "text"),
    [
        ("good", "ok", "proved"),
        ("not_converged", "scf_not_converged", "NOT achieved"),
        # scf_must_converge = .false.: pw.x 7.2 says "achieved", in its XML, too.
        ("claims_convergence", "scf_not_converged", "0.001 Ry where 1e-08 Ry"),
        # nstep = 1: the XML holds new positions beside the forces of the old ones.
        ("moved", "incomplete", "moved"),
    ],
)
def test_recorded_runs(name, error_class, text, folder):
    diagnosis = diagnose(folder(name))
    assert (diagnosis.code, diagnosis.error_class) == ("espresso", error_class)
    assert text in diagnosis.evidence.text


def test_the_claim_of_convergence_alone_is_seen_in_the_xml(folder):
    directory = folder("claims_convergence")
    change(directory / "aiida.out", r"(estimated scf accuracy +< +)\S+", r"\g<1>1e-12")
    diagnosis = diagnose(directory)
    assert diagnosis.error_class != "ok"


def test_packed_files_are_read(folder):
    directory = folder("good")
    for path in list(directory.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert diagnose(directory).ok


def test_before_6_6_the_standard_output_says_that_the_cycle_converged(folder):
    directory = folder("good")
    xml = directory / "schema.xml"
    change(xml, r"\s*<convergence_achieved>true</convergence_achieved>", "")
    assert diagnose(directory).error_class == "truncated"  # 7.2 always says it
    change(xml, r'VERSION="7.2"', 'VERSION="6.4.1"')
    assert diagnose(directory).ok


def test_the_xml_of_6_1_leaves_the_proof_to_the_standard_output(folder):
    directory = folder("good")
    (directory / "schema.xml").unlink()
    old = directory / "data-file.xml"
    old.write_text(
        '<?xml version="1.0"?>\n<Root>\n<HEADER><FORMAT NAME="QEXML"/></HEADER>\n</Root>'
    )
    assert diagnose(directory).ok
    old.write_text('<?xml version="1.0"?>\n<Root>\n<HEADER><FORMAT NAME="QEXML"/></HEADER>\n')
    assert diagnose(directory).error_class == "truncated"


@pytest.mark.parametrize(
    ("pattern", "new", "error_class"),
    [
        ("", "", "ok"),
        (r"JOB DONE", "", "truncated"),
        (r"Forces acting on atoms", "Something else", "incomplete"),
        (r"total   stress .*?\n\n", "\n\n", "incomplete"),
        (r"(atom    1 type  1   force = +)\S+", r"\g<1>0.00200000", "incomplete"),  # a net force
        (r"(atom    1 type  1   force = +)\S+", r"\g<1>NaN", "incomplete"),
        (r"(estimated scf accuracy +< +)\S+", r"\g<1>1e-3", "scf_not_converged"),
        (r"(Total SCF correction = +)\S+", r"\g<1>0.5", "force_quality"),
    ],
)
def test_a_standard_output_alone_carries_its_own_proof(pattern, new, error_class, folder):
    directory = folder("good")
    (directory / "schema.xml").unlink()
    if pattern:
        change(directory / "aiida.out", pattern, new)
    assert diagnose(directory).error_class == error_class


def test_where_pw_put_its_xml_there_must_be_one(folder):
    """Its output folder is here, but what it writes there last is not."""
    directory = folder("good")
    (directory / "schema.xml").unlink()
    (directory / "out" / "fw.save").mkdir(parents=True)
    diagnosis = diagnose(directory)
    assert diagnosis.error_class == "truncated"
    assert "XML is gone" in diagnosis.evidence.text
    (directory / "torn.xml").write_text("<qes:espresso>")
    assert diagnose(directory).error_class == "truncated"


def test_an_xml_alone_counts_but_not_in_the_folder_of_a_run(folder):
    directory = folder("good")
    (directory / "aiida.out").unlink()
    assert diagnose(directory).ok
    shutil.copy(DATA / "good" / "pw.in", directory)  # here the standard output was lost
    assert diagnose(directory).error_class == "truncated"
    (directory / "pw.in").unlink()
    (directory / "pw.out").write_text("")  # and here it is empty
    assert diagnose(directory).error_class == "truncated"
    (directory / "pw.out").unlink()
    shutil.copy(DATA / "moved" / "data-file-schema.xml", directory / "schema.xml")
    assert diagnose(directory).error_class == "truncated"  # positions after those of the forces


@pytest.mark.parametrize("kept", ["aiida.out", "schema.xml"])
def test_diagnosis_and_import_agree_about_what_stands_alone(kept, folder):
    for name in ("good", "not_converged", "claims_convergence"):
        directory = folder(name)
        next(path for path in directory.iterdir() if path.name != kept).unlink()
        labels = [c for c in read_calculations(directory) if isinstance(c, Calculation)]
        assert bool(labels) == diagnose(directory).ok


def test_diagnosis_and_import_agree_about_forces_that_are_not_settled(folder):
    directory = folder("good")
    change(directory / "aiida.out", r"(Total SCF correction = +)\S+", r"\g<1>0.5")
    (refused,) = read_calculations(directory)
    assert diagnose(directory).error_class == "force_quality"
    assert "in the forces" in str(refused)


def test_a_remark_about_the_layout_is_no_error(folder):
    """6.8 goes on where 6.4 stopped; the words are the same."""
    directory = folder("good")
    remark = "suboptimal parallelization: some nodes have no k-points"
    change(directory / "aiida.out", r"(Program PWSCF[^\n]*\n)", rf"\g<1>     {remark}\n")
    assert diagnose(directory).ok
    change(directory / "aiida.out", r"JOB DONE", "")
    assert diagnose(directory).error_class == "truncated"


@pytest.mark.parametrize(
    ("pattern", "new", "error_class"),
    [
        (r"Forces acting on atoms.*?Total force", "Total force", "incomplete"),
        (r"total   stress .*?\n\n", "\n\n", "incomplete"),
        (r"(atom    1 type  1   force = ) +\S+", r"\g<1> ************", "incomplete"),
        (r"(\n! +total energy += +-\d+\.)(\d)", r"\g<1>0", "truncated"),  # another run
        (r"JOB DONE", "", "truncated"),
        (r"(Total SCF correction = +)\S+", r"\g<1>0.5", "force_quality"),
        (
            r"(Total SCF correction = +)\S+",
            r"\g<1>0.0001\n     SCF correction compared to forces is large: reduce conv_thr",
            "force_quality",
        ),
    ],
)
def test_a_standard_output_that_falls_short(pattern, new, error_class, folder):
    directory = folder("good")
    change(directory / "aiida.out", pattern, new)
    assert diagnose(directory).error_class == error_class


def test_only_the_last_run_of_an_appended_output_counts(folder):
    directory = folder("good")
    good = (directory / "aiida.out").read_text()
    failed = (DATA / "not_converged" / "pw.out").read_text()
    (directory / "aiida.out").write_text(failed + good)
    assert diagnose(directory).ok
    (directory / "aiida.out").write_text(good + failed)
    diagnosis = diagnose(directory)
    assert diagnosis.error_class == "scf_not_converged"
    assert diagnosis.evidence.line > good.count("\n")


def test_of_two_standard_outputs_the_later_run_counts(folder):
    directory = folder("good", stdout="z.out")
    earlier = (DATA / "not_converged" / "pw.out").read_text()
    (directory / "a.out").write_text(re.sub(r"starts on \S+", "starts on  1Jan2001", earlier))
    assert diagnose(directory).ok


def test_a_crash_file_names_the_cause(folder):
    directory = folder("good")
    change(directory / "aiida.out", r"Self-consistent Calculation.*", "")
    (directory / "CRASH").write_text(
        "     task #         0\n     from  cdiaghg  : error #       125\n"
        "     problems computing cholesky\n"
    )
    diagnosis = diagnose(directory)
    assert diagnosis.error_class == "diagonalization"
    assert (diagnosis.evidence.file, diagnosis.evidence.line) == ("CRASH", 2)


@pytest.mark.parametrize(
    ("said", "error_class"),
    [
        (
            "slurmstepd: error: *** STEP 7.0 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***",
            "walltime",
        ),
        ("srun: error: n1: tasks 0-3: Killed", "memory"),
        ("=>> PBS: job killed: walltime 3617 exceeded limit 3600", "walltime"),
        ("=   KILLED BY SIGNAL: 9 (Killed)", "memory"),
        ("mpirun noticed that process rank 0 exited on signal 15 (Terminated).", "walltime"),
        ("forrtl: severe (174): SIGSEGV, segmentation fault occurred", "unknown"),
        ("At line 99 of file: No space left on device", "io"),
    ],
)
def test_the_scheduler_says_why(said, error_class, folder):
    directory = folder("good")
    change(directory / "aiida.out", r"iteration #  3.*", "")
    (directory / "_scheduler-stderr.txt").write_text(said + "\n")
    diagnosis = diagnose(directory)
    assert (diagnosis.error_class, diagnosis.evidence.line) == (error_class, 1)


# What a launcher says when one rank has failed, whatever the reason: it kills the others.
AFTERMATH = (
    "slurmstepd: error: *** STEP 42.0 ON n1 CANCELLED AT 2026-01-01T14:36:25 ***\n"
    "srun: error: n1: tasks 1-39: Killed\n"
    "srun: error: n1: task 0: Exited with exit code 1\n"
)
OUT_OF_MEMORY = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=42.0 cgroup.\n"
SEGFAULT = "srun: error: n1: task 0: Segmentation fault (core dumped)\n"
PW_ERROR = (
    "     Program PWSCF v.7.2 starts on  6Mar2026 at 14:36:19\n"
    "     Error in routine cdiaghg (159):\n     problems computing cholesky\n     stopping ...\n"
)
VASP_ERROR = " vasp.6.3.2 27Jun22\n LAPACK: Routine ZPOTRF failed!           1\n"


@pytest.mark.parametrize(
    ("said", "errors", "error_class"),
    [
        (PW_ERROR, AFTERMATH, "diagonalization"),
        (PW_ERROR, "MPI_ABORT was invoked on rank 0\n", "diagonalization"),
        (PW_ERROR, OUT_OF_MEMORY + AFTERMATH, "memory"),  # a stated reason
        (VASP_ERROR, AFTERMATH, "zpotrf"),
        (VASP_ERROR, OUT_OF_MEMORY + AFTERMATH, "memory"),
        ("", SEGFAULT + AFTERMATH, "unknown"),
        ("", AFTERMATH, "walltime"),  # cancelled, then killed
        ("", "srun: error: n1: task 3: Killed\n" + AFTERMATH, "memory"),  # killed, then cancelled
        ("", "=   BAD TERMINATION\n=   EXIT CODE: 9\n", "memory"),
        ("", "=   BAD TERMINATION\n=   EXIT CODE: 255\n", "unknown"),
    ],
)
def test_what_the_program_said_stands_above_the_kill_that_followed(
    said, errors, error_class, tmp_path
):
    (tmp_path / "out").write_text(said)
    (tmp_path / "slurm-42.err").write_text(errors)
    assert diagnose(tmp_path).error_class == error_class


def test_what_pw_remarks_on_is_no_symptom(folder):
    """In an error box the same words are one; here pw.x goes on."""
    directory = folder("good")
    remark = "     Message from routine setup:\n     the system is metallic, specify occupations"
    change(directory / "aiida.out", r"(Program PWSCF[^\n]*\n)", rf"\g<1>{remark}\n")
    change(directory / "aiida.out", r"total   stress .*?\n\n", "\n\n")
    assert diagnose(directory).error_class == "incomplete"


def test_a_script_says_nothing(folder):
    directory = folder("good")
    change(directory / "aiida.out", r"iteration #  3.*", "")
    (directory / "job").write_text("#!/bin/bash\n# out of memory? use fewer ranks\npw.x -i pw.in\n")
    assert diagnose(directory).error_class == "truncated"


def test_bands_are_no_label(folder):
    directory = folder("good")
    change(directory / "aiida.out", r"iteration #  1 .*?(\n! )", r"\1")
    change(directory / "aiida.out", r"convergence has been achieved", "End of band structure")
    assert diagnose(directory).error_class == "incomplete"


def test_an_unfinished_second_cycle_takes_back_the_first():
    text = (DATA / "good" / "pw.out").read_text()
    log = read_stdout(text.replace("JOB DONE", "") + "\n     iteration #  1     ecut=     8 Ry\n")
    assert log.achieved is None
    assert not log.complete


# ---------------------------------------------------------------- VASP, real outputs


@needs_shared
@pytest.mark.parametrize(
    ("path", "error_class", "remedy"),
    [
        ("io/vasprun.xml.gz", "ok", "none"),
        ("io/OUTCAR.gz", "ok", "none"),
        ("OUTCAR_auto_nbands.gz", "ok", "none"),
        ("large_sigma/OUTCAR_pass_sigma_check.gz", "ok", "none"),
        ("static_smearing/vasprun.xml.gz", "ok", "none"),
        ("bad_vasprun/vasprun.xml.gz", "truncated", "resource"),
        ("unconverged/vasprun.xml.electronic.gz", "scf_not_converged", "numerical"),
        ("nonconv/OSZICAR", "scf_not_converged", "numerical"),
        ("positive_energy/OSZICAR", "positive_energy", "none"),
        ("std_err.txt.kpoints_trans", "kpoints_trans", "numerical"),
        ("std_err.txt.oom", "memory", "resource"),
        ("vasp.algo_tet.gz", "algo_tet", "numerical"),
        ("vasp.amin", "amin", "numerical"),
        ("vasp.brmix", "brmix", "numerical"),
        ("vasp.dentet", "dentet", "physics"),
        ("vasp.edddav", "edddav", "numerical"),
        ("vasp.eddrmm", "eddrmm", "numerical"),
        ("vasp.ibzkpt", "mesh_symmetry", "numerical"),
        ("vasp.ksymm", "ksymm", "numerical"),
        ("vasp.pricelv", "pricelv", "numerical"),
        ("vasp.pssyevx", "pssyevx", "numerical"),
        ("vasp.rhosyg", "rhosyg", "numerical"),
        ("vasp.subspace", "subspacematrix", "physics"),
        ("vasp.zbrent", "zbrent", "numerical"),
    ],
)
def test_real_outputs_of_vasp(path, error_class, remedy, tmp_path):
    shutil.copy(SHARED / path, tmp_path)
    diagnosis = diagnose(tmp_path)
    found = (diagnosis.code, diagnosis.error_class, diagnosis.remedy)
    assert found == ("vasp", error_class, remedy)


@needs_shared
def test_vasprun_and_outcar_of_one_run_agree(tmp_path):
    for name in ("vasprun.xml.gz", "OUTCAR.gz"):
        shutil.copy(SHARED / "io" / name, tmp_path)
    assert diagnose(tmp_path).ok
    shutil.copy(SHARED / "OUTCAR_auto_nbands.gz", tmp_path / "OUTCAR.gz")
    assert diagnose(tmp_path).error_class == "truncated"


@needs_shared
@pytest.mark.parametrize(
    ("file", "pattern", "new", "error_class"),
    [
        ("OUTCAR", r"General timing.*", "", "truncated"),
        ("OUTCAR", r"(\n +in kB +)\S+(?=[^\n]*\n(?!.*in kB))", r"\1 NaN", "incomplete"),
        ("OUTCAR", r"ICHARG =      \d", "ICHARG =     11", "incomplete"),
        ("OUTCAR", r"NELM   = +\d+", "NELM   =      4", "scf_not_converged"),
        ("vasprun.xml", r"</modeling>", "", "truncated"),
        (
            "vasprun.xml",
            r'<i type="int" name="NELM"> +\d+',
            '<i name="NELM"> 4',
            "scf_not_converged",
        ),
        ("vasprun.xml", r'<varray name="stress" >', '<varray name="tension" >', "incomplete"),
        ("vasprun.xml", r'(<varray name="forces" >\s*<v>)\s*\S+', r"\1 5.0", "incomplete"),
        ("vasprun.xml", r'(<varray name="forces" >\s*<v>)\s*\S+', r"\1 *****", "incomplete"),
    ],
)
def test_outputs_of_vasp_that_fall_short(file, pattern, new, error_class, tmp_path):
    text = gzip.decompress((SHARED / "io" / f"{file}.gz").read_bytes()).decode()
    (tmp_path / file).write_text(text)
    change(tmp_path / file, pattern, new)
    assert diagnose(tmp_path).error_class == error_class


@needs_shared
def test_a_grave_message_counts_beside_a_good_result(tmp_path):
    shutil.copy(SHARED / "io" / "vasprun.xml.gz", tmp_path)
    shutil.copy(SHARED / "vasp.brmix", tmp_path / "vasp.out")
    assert diagnose(tmp_path).error_class == "brmix"
    shutil.copy(SHARED / "vasp.amin", tmp_path / "vasp.out")
    assert diagnose(tmp_path).ok


BANNER = "|     EEEEEEE  RRRRRR   RRRRRR   OOOOOOO  RRRRRR      ###     ###     ###     |\n"


def box(*lines: str) -> str:
    """An error box of VASP 6, which breaks its sentences anywhere."""
    said = "".join(f"|     {line:<72}|\n" for line in lines)
    return f" {77 * '-'}\n{BANNER}|{77 * ' '}|\n{said}|{77 * ' '}|\n {77 * '-'}\n"


@pytest.mark.parametrize(
    ("text", "error_class", "evidence"),
    [
        (box("ERROR: the triple product", "of the basis vectors is negative"), "triple_product", 5),
        (box("INVGRP: inverse of rotation matrix was not found"), "inv_rot_mat", 5),
        (box("ZBRENT: fatal error: bracketing interval incorrect"), "zbrent", 5),
        (box("KPOINTS_OPT wants NCORE = 1", "I REFUSE TO CONTINUE"), "input", 5),
        (" entering main loop\n" + box("KPOINTS_OPT lost its density"), "unknown", 6),
        (box("internal error in: radial.F  at line: 844"), "unknown", 5),
        (" LAPACK: Routine DPOTRF failed!    1\n", "zpotrf", 2),
        ("ERROR: charge density could not be read from file CHGCAR for ICHARG>10\n", "input", 2),
        ("forrtl: severe (24): end-of-file during read, unit 7, file /x/POSCAR\n", "input", 2),
    ],
)
def test_boxes_of_vasp_are_read_as_sentences(text, error_class, evidence, tmp_path):
    (tmp_path / "log").write_text(" vasp.6.4.2 20Jul23\n" + text)
    diagnosis = diagnose(tmp_path)
    assert diagnosis.code == "vasp"
    assert (diagnosis.error_class, diagnosis.evidence.line) == (error_class, evidence)


@needs_shared
def test_only_the_last_of_several_runs_of_vasp_in_one_file_counts(tmp_path):
    run = " running on    4 total cores\n vasp.6.4.2 20Jul23\n entering main loop\n"
    failed = run + " LAPACK: Routine ZPOTRF failed!    1\n"
    shutil.copy(SHARED / "io" / "vasprun.xml.gz", tmp_path)
    (tmp_path / "vasp.out").write_text(failed + run)
    assert diagnose(tmp_path).ok
    (tmp_path / "vasp.out").write_text(run + failed)
    assert diagnose(tmp_path).error_class == "zpotrf"


@needs_shared
def test_forces_of_a_machine_learned_field_are_no_label(tmp_path):
    text = gzip.decompress((SHARED / "io" / "OUTCAR.gz").read_bytes()).decode()
    head, title, tail = text.rpartition("TOTAL-FORCE (eV/Angst)")
    (tmp_path / "OUTCAR").write_text(f"{head}{title} (ML){tail}")
    assert diagnose(tmp_path).error_class == "incomplete"


@pytest.fixture
def vasprun(tmp_path: Path) -> Path:
    """The real one of ../shared/data/vasp/io, to be changed."""
    path = tmp_path / "vasprun.xml"
    path.write_text(gzip.decompress((SHARED / "io" / "vasprun.xml.gz").read_bytes()).decode())
    return path


@needs_shared
def test_the_pressure_of_pstress_is_no_energy(vasprun):
    before = diagnose(vasprun.parent).result
    volume = abs(np.linalg.det(before.cell))
    change(vasprun, r'name="PSTRESS"> +[\d.]+', 'name="PSTRESS"> 20.0')
    enthalpy = before.energy + 20.0 * 0.1 * GPA * volume
    head, name, tail = vasprun.read_text().rpartition('<i name="e_fr_energy">')
    vasprun.write_text(f"{head}{name} {enthalpy:.8f} {tail[tail.index('</i>') :]}")
    after = diagnose(vasprun.parent)
    assert after.ok
    assert after.result.energy == pytest.approx(before.energy, abs=1e-6)


@needs_shared
def test_a_cycle_that_was_stopped_early_is_seen_in_its_energies(vasprun):
    """A hard stop leaves forces and stress after fewer steps than NELM."""
    assert diagnose(vasprun.parent).ok
    steps = vasprun.read_text().split("</scstep>")
    steps[-3] = re.sub(r'(e_fr_energy">\s*-?)(\d)', r"\g<1>9\g<2>", steps[-3])
    vasprun.write_text("</scstep>".join(steps))
    assert diagnose(vasprun.parent).error_class == "scf_not_converged"


@needs_shared
def test_steps_after_the_cycle_are_not_of_it(vasprun):
    """Bands on a finer mesh, say: they come after the energy."""
    energy = diagnose(vasprun.parent).result.energy
    head, end, tail = vasprun.read_text().rpartition("</calculation>")
    step = '<scstep><energy><i name="e_fr_energy">-1.0</i></energy></scstep>'
    vasprun.write_text(head + step + end + tail)
    assert diagnose(vasprun.parent).result.energy == energy


# ---------------------------------------------------------------- finding


def test_inputs_scripts_and_earlier_attempts_are_no_outputs(folder):
    directory = folder("good")
    (directory / "pw.in").write_text("&control\n/\n")
    (directory / "notes.md").write_text("Error in routine electrons (1): charge is wrong\n")
    (directory / "attempt-1").mkdir()
    (directory / "attempt-1" / "old.xml").write_text("")
    found = {output.name: output.role for output in find_outputs(directory).files}
    assert found == {"aiida.out": "pw_stdout", "schema.xml": "pw_xml"}


def test_an_unknown_error_is_quoted(tmp_path):
    (tmp_path / "log").write_text("     Error in routine exxinit (1):\n     dexx is negative!\n")
    diagnosis = diagnose(tmp_path)
    assert diagnosis.error_class == "unknown"
    assert "dexx is negative" in diagnosis.evidence.text


@pytest.mark.engines
@pytest.mark.parametrize("calculation", ["nscf", "bands"])
def test_a_pass_after_the_cycle_is_no_failed_cycle(calculation, pw, tmp_path):
    """Its XML says that nothing converged, for there was nothing to converge."""
    labeler = make_labeler(espresso(), programs={"pw": pw}, base=Path())
    labeler.write(pair(), tmp_path)
    path = tmp_path / "pw.in"
    for kind in ("scf", calculation):
        path.write_text(with_keyword(path.read_text(), "control", "calculation", kind))
        with (tmp_path / "pw.out").open("w") as out:
            subprocess.run([*pw, "-i", "pw.in"], cwd=tmp_path, stdout=out, check=True)
    diagnosis = diagnose(tmp_path)
    assert diagnosis.error_class == "incomplete"
    assert "bands alone" in diagnosis.evidence.text
