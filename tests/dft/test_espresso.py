"""The real pw.x: signs and units by finite differences; failures made, repaired or refused."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fw_nnp.core.errors import LabelError
from fw_nnp.core.records import Configuration, Label, Quarantine
from fw_nnp.dft import make_labeler, relabel, relabel_many
from fw_nnp.dft.custody import Custody, Stopped
from fw_nnp.dft.espresso import corrections

from .conftest import espresso, pair

pytestmark = pytest.mark.engines


def answer(labeler, configuration, directory, max_attempts=3):
    return relabel(configuration, labeler, directory, max_attempts=max_attempts)


def fcc(a: float) -> Configuration:
    cell = a / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return Configuration(cell=cell, positions=[[0, 0, 0]], numbers=[13])


# ---------------------------------------------------------------- the three quantities


def test_forces_are_the_negative_slope_of_the_free_energy(real, tmp_path):
    """With smearing the slope belongs to F = E - TS: so the energy of a label is F."""
    labeler, h = real(conv_thr=1e-10), 0.01
    low, middle, high = (answer(labeler, pair(shift=d), tmp_path) for d in (-h, 0.0, h))
    slope = (high.energy - low.energy) / (2 * h)
    assert abs(middle.forces[1, 1]) > 0.1
    assert middle.forces[1, 1] == pytest.approx(-slope, abs=2e-3)


@pytest.mark.parametrize(("i", "j"), [(0, 0), (1, 2)])
def test_stress_is_the_slope_under_strain(i, j, real, tmp_path):
    """Positive in tension, eV/Å³; at 25 Ry, where the changing plane-wave set matters little."""
    labeler, h = real(ecutwfc="25 Ry", conv_thr=1e-10), 0.01
    strain = np.zeros((3, 3))
    strain[i, j] = strain[j, i] = h if i == j else h / 2
    low, middle, high = (answer(labeler, pair(strain=s * strain), tmp_path) for s in (-1, 0, 1))
    slope = (high.energy - low.energy) / (2 * h) / pair().volume
    assert middle.stress[i, j] == pytest.approx(slope, abs=1.2e-3)
    assert abs(middle.stress[i, j]) > 2e-3


def test_a_compressed_crystal_pushes(real, tmp_path):
    labeler = real(k_spacing=0.5)
    squeezed, stretched = (answer(labeler, fcc(a), tmp_path) for a in (3.7, 4.4))
    assert np.trace(squeezed.stress) < -0.1 < 0.02 < np.trace(stretched.stress)
    assert np.abs(squeezed.forces).max() < 1e-6


def test_supercell_and_cell_agree(real, tmp_path):
    """The shifted grid of a cell is that of its supercell, folded."""
    labeler = real(k_spacing=0.8, conv_thr=1e-9)
    one = fcc(4.05)
    cell = one.cell * [[1], [1], [2]]
    two = Configuration(cell=cell, positions=[[0, 0, 0], one.cell[2]], numbers=[13, 13])
    small, large = answer(labeler, one, tmp_path), answer(labeler, two, tmp_path)
    assert large.provenance["k_grid"][2] * 2 == small.provenance["k_grid"][2]
    assert large.energy / 2 == pytest.approx(small.energy, abs=1e-3)


def test_provenance(real, tmp_path):
    label = answer(real(), pair(), tmp_path)
    assert label.provenance["code"] == "pw.x"
    assert label.provenance["corrections"] == []
    assert 0 < label.provenance["core_s"] < 20
    assert 0 < label.provenance["wall_s"] < 60
    assert label.provenance["n_scf_steps"] > 2
    assert label.provenance["version"][0].isdigit()
    assert len(label.provenance["input_sha256"]) == len(label.provenance["output_sha256"]) == 64


# ---------------------------------------------------------------- failures


def test_too_few_steps_are_repaired_and_change_nothing(real, tmp_path):
    direct = answer(real(), pair(), tmp_path / "direct")
    few = real(extra={"electrons": {"electron_maxstep": 4}})
    label = answer(few, pair(), tmp_path / "few")
    assert isinstance(label, Label)
    (record,) = label.provenance["corrections"]
    assert (record["error_class"], record["kind"]) == ("scf_not_converged", "numerical")
    assert record["changes"] == {"electron_maxstep": "4 -> 8"}
    assert label.energy == pytest.approx(direct.energy, abs=1e-6)
    np.testing.assert_allclose(label.forces, direct.forces, atol=1e-3)


def test_attempts_are_bounded(real, tmp_path):
    few = real(extra={"electrons": {"electron_maxstep": 2}})
    failure = answer(few, pair(), tmp_path, max_attempts=2)
    assert isinstance(failure, Quarantine)
    assert failure.error_class == "scf_not_converged"
    assert [c["changes"] for c in failure.evidence["corrections"]] == [
        {"electron_maxstep": "2 -> 4"}
    ]
    assert sorted(p.name for p in tmp_path.glob("attempt-*")) == ["attempt-1"]


def test_absurd_mixing_is_repaired(real, tmp_path):
    absurd = real(
        extra={"electrons": {"mixing_beta": 40.0, "mixing_ndim": 1, "electron_maxstep": 12}}
    )
    label = answer(absurd, pair(), tmp_path, max_attempts=6)
    assert isinstance(label, Label)
    assert any("mixing_beta" in c["changes"] for c in label.provenance["corrections"])


def test_overlapping_atoms_that_pass_the_check_are_seen_by_pw(real, tmp_path):
    same = Configuration(
        cell=np.diag([3.0, 3.0, 4.0]), positions=[[0, 0, 0], [0, 0, 0]], numbers=[13, 13]
    )
    failure = relabel(same, real(), tmp_path, max_attempts=3, min_distance=1e-9)
    assert failure.error_class == "geometry"
    assert corrections(tmp_path) == []


def test_what_pw_does_not_accept_is_no_matter_for_repairs(real, tmp_path):
    failure = answer(real(extra={"system": {"no_such_key": 1}}), pair(), tmp_path)
    assert failure.error_class == "input"
    assert not list(tmp_path.glob("attempt-*"))


def kill_when_started(directory: Path, times: int) -> threading.Thread:
    """SIGKILL pw.x in `directory` as soon as it has printed its banner, so many times."""

    def program() -> int | None:
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and Path(os.readlink(entry / "cwd")) == directory:
                    return int(entry.name)
            except OSError:
                continue  # it ended, or it is another user's
        return None

    def hunt() -> None:
        killed: set[int] = set()
        deadline = time.monotonic() + 30
        while len(killed) < times and time.monotonic() < deadline:
            pid = program()
            output = directory / "pw.out"
            if pid and pid not in killed and output.exists() and output.stat().st_size:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.005)

    thread = threading.Thread(target=hunt)
    thread.start()
    return thread


SLOW = {"ecutwfc": "30 Ry", "k_spacing": 0.35}


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks into /proc")
@pytest.mark.parametrize(("times", "kind"), [(1, Label), (2, Quarantine)])
def test_a_killed_run_is_repeated_once(times, kind, real, tmp_path):
    hunter = kill_when_started(tmp_path, times)
    outcome = answer(real(**SLOW), fcc(4.05), tmp_path)
    hunter.join()
    assert isinstance(outcome, kind)
    if times == 1:
        assert outcome.provenance["corrections"][0]["error_class"] == "truncated"
    else:
        assert outcome.error_class == "truncated"


def test_a_stop_ends_running_programs_promptly(real, tmp_path):
    asked = [pair(shift=0.01 * i) for i in range(4)]
    heavy = real(ecutwfc="60 Ry", k_spacing=0.15)
    started = time.monotonic()
    answers = relabel_many(
        asked,
        heavy,
        tmp_path,
        side_by_side=2,
        max_attempts=3,
        stop=lambda: time.monotonic() - started > 1.0,
    )
    assert list(answers) == []
    assert time.monotonic() - started < 5.0


def test_a_second_run_in_the_same_directory_does_not_read_the_first(real, tmp_path):
    first = answer(real(), pair(), tmp_path)
    second = answer(real(), pair(shift=0.05), tmp_path)
    assert second.energy != first.energy
    labeler = real()
    labeler.write(pair(), tmp_path)
    assert not (tmp_path / "out").exists()
    assert labeler.label(pair(), tmp_path, Custody(1)).energy == pytest.approx(first.energy)


def test_a_stopped_run_goes_on_from_its_saved_state(real, tmp_path):
    """A stop asks pw.x to save; the next call resumes, and the answer is the same."""
    slow = {"k_spacing": 0.35, "ecutwfc": "16 Ry", "extra": {"electrons": {"mixing_beta": 0.1}}}
    labeler = real(**slow, bands=3.0)
    custody = Custody(max_attempts=1)
    directory = tmp_path / "run"
    ask = threading.Thread(target=_stop_when_it_iterates, args=(custody, directory / "pw.out"))
    ask.start()
    with pytest.raises(Stopped):
        labeler.label(pair(), directory, custody)
    ask.join()
    assert (directory / "saved-state").is_file()
    resumed = labeler.label(pair(), directory, Custody(max_attempts=1))
    fresh = labeler.label(pair(), tmp_path / "fresh", Custody(max_attempts=1))
    assert resumed.provenance["resumed"] is True
    assert "resumed" not in fresh.provenance
    assert resumed.energy == pytest.approx(fresh.energy, abs=1e-6)
    np.testing.assert_allclose(resumed.forces, fresh.forces, atol=1e-4)


def _stop_when_it_iterates(custody: Custody, stdout: Path) -> None:
    for _ in range(3000):
        time.sleep(0.02)
        if stdout.is_file() and "Self-consistent Calculation" in stdout.read_text():
            break
    custody.stop()


def test_a_stop_before_the_program_starts_is_just_a_stop(tmp_path):
    labeler = make_labeler(espresso(), programs={"pw": ["pw.x"]}, base=Path())
    labeler.write(pair(), tmp_path)
    labeler.stopped(tmp_path)
    assert not (tmp_path / "saved-state").exists()


def test_a_frozen_program_is_ended_and_named(tmp_path):
    """A program that stops writing is ended, tried once more, and ends in quarantine."""
    program = tmp_path / "pw.x"
    program.write_text("#!/bin/sh\necho '     Program PWSCF v.7.2 starts'\nexec sleep 600\n")
    program.chmod(0o755)
    labeler = make_labeler(espresso(), programs={"pw": [str(program)]}, base=Path())
    directory = tmp_path / "run"
    labeler.write(pair(), directory)
    job = labeler.job(directory)
    job.silence = 0.5
    Custody(max_attempts=2).run(job, labeler.handlers(job), directory)
    assert job.attempts == 2
    with pytest.raises(LabelError) as caught:
        labeler.read(pair(), directory)
    assert caught.value.error_class == "frozen"
