"""A real pw.x made to fail in the ways of a cluster: each is named, repaired or refused."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fw_nnp.core.errors import CorrectionRefused
from fw_nnp.core.records import Label, Quarantine
from fw_nnp.dft import make_labeler, relabel
from fw_nnp.dft.custody import Custody, Stopped
from fw_nnp.dft.diagnose import diagnose
from fw_nnp.dft.espresso_input import keyword, with_keyword

from .conftest import espresso, pair

pytestmark = pytest.mark.engines
SLOW = {"k_spacing": 0.6, "ecutwfc": "16 Ry", "bands": 3.0}
needs_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks into /proc")


def classes(outcome: Label | Quarantine) -> list[str]:
    """Classes of the failures that were repaired on the way."""
    told = outcome.provenance if isinstance(outcome, Label) else outcome.evidence
    return [record["error_class"] for record in told["corrections"]]


def assert_same(label: Label, real, tmp_path: Path, **theory: object) -> None:
    """A repair changes nothing: the label equals that of a run without trouble."""
    plain = relabel(pair(), real(**theory), tmp_path / "plain", max_attempts=1)
    assert isinstance(label, Label), label
    assert label.energy == pytest.approx(plain.energy, abs=1e-6)
    np.testing.assert_allclose(label.forces, plain.forces, atol=1e-3)
    assert label.theory_id == plain.theory_id


def test_a_limit_in_the_input_is_no_failure_of_the_structure(real, tmp_path):
    short = real(extra={"control": {"max_seconds": 0.01}})
    outcome = relabel(pair(), short, tmp_path, max_attempts=3)
    assert (outcome.error_class, outcome.evidence["corrections"]) == ("walltime", [])


def test_too_few_bands_for_the_smearing_are_repaired(real, tmp_path):
    """The highest band is occupied: pw.x says nothing, the XML shows it."""
    wide = {"degauss": "0.3 Ry", "bands": 1.1}
    label = relabel(pair(), real(**wide), tmp_path / "run", max_attempts=3)
    assert isinstance(label, Label)
    assert set(classes(label)) == {"bands"}
    assert all("nbnd" in record["changes"] for record in label.provenance["corrections"])


def test_too_few_bands_for_the_electrons_are_repaired(real, tmp_path):
    """pw.x refuses to start with fewer bands than pairs."""
    labeler, directory = real(), tmp_path / "run"
    labeler.write(pair(), directory)
    path = directory / "pw.in"
    path.write_text(with_keyword(path.read_text(), "system", "nbnd", 2))
    job = labeler.job(directory)
    Custody(2).run(job, labeler.handlers(job), directory)
    assert diagnose(directory / "attempt-1").error_class == "bands"
    assert keyword(path.read_text(), "nbnd") != "2"
    assert job.attempts == 2


def test_fixed_occupations_need_smearing_and_that_is_refused(real, tmp_path):
    labeler, directory = real(), tmp_path / "run"
    labeler.write(pair(), directory)
    path = directory / "pw.in"
    text = path.read_text().replace("  occupations = 'smearing'\n", "  tot_charge = 1.0\n")
    path.write_text("".join(x for x in text.splitlines(True) if "gauss" not in x))
    job = labeler.job(directory)
    Custody(4).run(job, labeler.handlers(job), directory)
    assert job.attempts == 1
    with pytest.raises(CorrectionRefused, match="smearing is needed") as caught:
        labeler.read(pair(), directory)
    assert caught.value.error_class == "bands"


def test_a_full_scratch_is_cleaned_once(pw, real, tmp_path):
    """Its first density goes to a full device; a clean folder has room."""
    script = (
        "mkdir -p out/fw.save; [ -e attempt-1 ] || ln -s /dev/full out/fw.save/charge-density.dat;"
        ' exec "$@"'
    )
    full = make_labeler(espresso(), programs={"pw": ["sh", "-c", script, "sh", *pw]}, base=Path())
    label = relabel(pair(), full, tmp_path / "run", max_attempts=3)
    assert_same(label, real, tmp_path)
    assert classes(label) == ["io"]


def test_a_scratch_that_stays_full_is_no_fault_of_the_structure(pw, tmp_path):
    script = "ulimit -f 20; trap '' XFSZ; exec \"$@\""  # blocks of 512 bytes for every file
    full = make_labeler(espresso(), programs={"pw": ["sh", "-c", script, "sh", *pw]}, base=Path())
    outcome = relabel(pair(), full, tmp_path, max_attempts=3)
    assert (outcome.error_class, classes(outcome)) == ("io", ["io"])
    assert "charge-density" in outcome.reason


def program_in(directory: Path) -> int | None:
    """Id of the process that works in `directory`."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")) == directory:
                return int(entry.name)
        except OSError:
            continue  # it ended, or it is another user's
    return None


@needs_proc
def test_a_frozen_pw_is_ended_and_run_once_more(real, tmp_path):
    labeler, directory = real(**SLOW), tmp_path / "run"
    labeler.write(pair(), directory)
    job = labeler.job(directory)
    job.silence = 1.5

    def freeze() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            printed = directory / "pw.out"
            if printed.exists() and "iteration #  1" in printed.read_text():
                os.kill(program_in(directory), signal.SIGSTOP)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=freeze)
    thread.start()
    Custody(3).run(job, labeler.handlers(job), directory)
    thread.join()
    assert job.attempts == 2
    label = labeler.read(pair(), directory)
    assert classes(label) == ["frozen"]
    assert_same(label, real, tmp_path, **SLOW)


def test_a_corrupt_saved_state_is_thrown_away(real, tmp_path):
    """A stopped run whose density was cut off on disk starts from the beginning."""
    labeler, directory = real(**SLOW), tmp_path / "run"
    custody = Custody(1)

    def stop() -> None:
        deadline = time.monotonic() + 20
        printed = directory / "pw.out"
        while time.monotonic() < deadline:
            if printed.exists() and "iteration #  2" in printed.read_text():
                break
            time.sleep(0.01)
        custody.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Stopped):
        labeler.label(pair(), directory, custody)
    thread.join()
    assert (directory / "saved-state").is_file()
    for path in directory.glob("out/**/*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:100])
    label = relabel(pair(), labeler, directory, max_attempts=3)
    assert_same(label, real, tmp_path, **SLOW)
    assert classes(label) == ["io"]
