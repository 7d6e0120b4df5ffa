"""The end of the time: stated in the campaign, by Slurm's variable, or by a stand-in squeue."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fw_nnp.services.deadline import MARGIN, PART, slurm_job_end, time_is_up


@pytest.fixture(autouse=True)
def outside_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_END_TIME", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a stand-in for squeue first on PATH that says `text`; it notes its arguments."""

    def say(text: str, code: int = 0) -> Path:
        program, asked = tmp_path / "squeue", tmp_path / "asked"
        program.write_text(f"#!/bin/sh\necho \"$@\" > {asked}\necho '{text}'\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setenv("SLURM_JOB_ID", "41")
        return asked

    return say


def test_without_limit_and_job_there_is_no_end():
    assert slurm_job_end() is None
    assert time_is_up(None, started=0.0)() is False


@pytest.mark.parametrize(
    ("limit", "margin"), [(3600.0, MARGIN), (100.0, PART * 100.0)], ids=["long", "short"]
)
def test_a_limit_ends_a_margin_before(limit, margin):
    now = time.time()
    assert not time_is_up(limit, started=now - limit + margin + 5.0)()
    assert time_is_up(limit, started=now - limit + margin - 0.1)()


def test_slurm_states_the_end_of_the_job(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time() + MARGIN + 60)))
    assert not time_is_up(None)()
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time() + MARGIN - 1)))
    assert time_is_up(None)()
    assert time_is_up(1e6)()  # whatever comes first


def test_squeue_is_asked_where_no_variable_states_it(squeue):
    """Slurm before 22 sets no SLURM_JOB_END_TIME."""
    end = datetime.now().replace(microsecond=0) + timedelta(minutes=10)
    asked = squeue(end.isoformat())
    assert slurm_job_end() == end.timestamp()
    assert asked.read_text().split() == ["--noheader", "--jobs", "41", "--format", "%e"]
    squeue((datetime.now() + timedelta(seconds=MARGIN - 2)).isoformat())
    assert time_is_up(None)()


@pytest.mark.parametrize(("text", "code"), [("NONE", 0), ("N/A", 0), ("", 0), ("", 1)])
def test_a_squeue_without_an_answer_leaves_the_signal(text, code, squeue):
    squeue(text, code)
    assert slurm_job_end() is None


def test_a_missing_squeue_leaves_the_signal(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_job_end() is None
