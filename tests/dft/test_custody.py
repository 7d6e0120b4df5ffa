"""Programs run in groups of their own and never outlive a stop, or their worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fw_nnp.core.errors import EngineError
from fw_nnp.dft.custody import Custody, ProgramJob, Stopped

# Prints its banner, starts a child that would live for a minute, writes both ids.
LINGER = """
import os, subprocess, sys, time
print("BANNER", flush=True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("pids", "w").write(f"{os.getpid()} {child.pid}")
os.rename("pids", "ids")
time.sleep(60)
"""


def job(*argv: str) -> ProgramJob:
    return ProgramJob(
        list(argv), stdout="out.txt", stderr="err.txt", volatile=["out.txt"], banner="BANNER"
    )


def python(code: str) -> ProgramJob:
    return job(sys.executable, "-c", code)


def wait_for(path: Path) -> list[int]:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)
    return [int(word) for word in path.read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not asked yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


def test_one_thread_per_program(tmp_path):
    Custody(1).run(
        python("import os; print('BANNER', os.environ['OMP_NUM_THREADS'])"), [], tmp_path
    )
    assert (tmp_path / "out.txt").read_text() == "BANNER 1\n"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_stop_ends_the_whole_group_at_once(tmp_path):
    custody = Custody(3)
    caught = []

    def run() -> None:
        try:
            custody.run(python(LINGER), [], tmp_path)
        except Stopped as stopped:
            caught.append(stopped)

    thread = threading.Thread(target=run)
    thread.start()
    pids = wait_for(tmp_path / "ids")
    started = time.monotonic()
    custody.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - started < 3
    assert len(caught) == 1
    assert gone(pids)


def test_after_a_stop_nothing_starts(tmp_path):
    custody = Custody(3)
    custody.stop()
    with pytest.raises(Stopped):
        custody.run(python("open('ran', 'w')"), [], tmp_path)
    late = python("open('ran', 'w')")
    late.end()
    with pytest.raises(Stopped):
        late.run(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is of Linux")
def test_a_killed_worker_takes_its_program_along(tmp_path):
    worker = (
        "import sys; from pathlib import Path\n"
        "from fw_nnp.dft.custody import Custody, ProgramJob\n"
        "job = ProgramJob([sys.executable, '-c', sys.argv[1]], stdout='o', stderr='e',"
        " volatile=[], banner='B')\n"
        "Custody(1).run(job, [], Path(sys.argv[2]))"
    )
    code = "import os, time; open('p', 'w').write(str(os.getpid())); os.rename('p', 'ids'); "
    process = subprocess.Popen(
        [sys.executable, "-c", worker, code + "time.sleep(60)", str(tmp_path)]
    )
    pids = wait_for(tmp_path / "ids")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(pids)


def test_a_missing_program_is_an_error_of_the_machine(tmp_path):
    with pytest.raises(EngineError, match="no-such-program"):
        Custody(3).run(job("no-such-program"), [], tmp_path)


def test_a_program_that_cannot_run_is_an_error_of_the_machine(tmp_path):
    with pytest.raises(EngineError, match="libmissing"):
        Custody(3).run(python("raise SystemExit('libmissing.so: not found')"), [], tmp_path)


def test_a_program_that_fails_after_its_banner_is_left_to_the_proof(tmp_path):
    failing = python("print('BANNER'); raise SystemExit(1)")
    Custody(3).run(failing, [], tmp_path)
    assert (failing.attempts, failing.running.returncode) == (1, 1)


def test_a_program_killed_before_its_banner_is_left_to_the_proof(tmp_path):
    killed = python("import os; os.kill(os.getpid(), 9)")
    Custody(3).run(killed, [], tmp_path)
    assert (killed.attempts, killed.running.returncode) == (1, -9)


def test_outputs_of_an_earlier_attempt_are_put_away(tmp_path):
    again = python("print('BANNER')")
    again.volatile.append("wave")
    for attempt in range(2):
        again.run(tmp_path).wait()
        assert not (tmp_path / "wave").exists()
        if attempt == 0:
            (tmp_path / "out.txt").write_text("first")
            (tmp_path / "wave").mkdir()
    assert (tmp_path / "attempt-1" / "out.txt").read_text() == "first"
    assert (tmp_path / "out.txt").read_text() == "BANNER\n"


def test_only_the_own_group_is_signalled(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as neighbour:
        mine = python(LINGER)
        program = mine.run(tmp_path)
        wait_for(tmp_path / "ids")
        assert os.getpgid(program.pid) == program.pid != os.getpgid(neighbour.pid)
        mine.terminate()
        program.wait(5)
        assert neighbour.poll() is None
        neighbour.kill()
