"""Running a program under custodian, in a process group that never outlives its worker."""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from custodian.custodian import Custodian, CustodianError, ErrorHandler, Job

from fw_nnp.core.errors import EngineError

log = logging.getLogger(__name__)

GRACE = 2.0  # s between SIGTERM and SIGKILL
SAVING = 15.0  # s that a program has to save its state when it is asked to stop ...
NOTHING_DONE = 2.0  # ... and s where it has not come far enough to lose anything
SILENCE = 600.0  # s without output after which a program counts as frozen ...
SILENT_STEPS = 10.0  # ... or so many times the longest pause before, where that is longer
LOOK = 2.0  # s between two looks at the output
LAUNCHERS = ("mpirun", "mpiexec", "mpiexec.hydra", "srun", "aprun", "jsrun", "prun")
FROZEN = "ended as frozen"
BY_SIGNAL = "ended by signal"
PR_SET_PDEATHSIG = 1

# Loaded here, because a child between fork and exec must not import anything.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Stopped(Exception):
    """The calculation was ended by `Custody.stop`: no error, the caller asked for it."""


class Places:
    """Where programs run: one at a time on each core, whoever waits longest comes next.

    Parameters
    ----------
    cores
        A core for each program that may run at once; None: wherever the system likes.
    """

    def __init__(self, cores: Sequence[int | None]) -> None:
        self._free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for core in cores:
            self._free.put(core)

    def take(self) -> int | None:
        """Wait for a free core."""
        return self._free.get()

    def give_back(self, core: int | None) -> None:
        """Let the next program have the core."""
        self._free.put(core)


class ProgramJob(Job):
    """One program in one directory.

    Parameters
    ----------
    argv
        Program and arguments; a handler may add to `options`, which come last.
    stdout, stderr
        Names of the files for the outputs.
    volatile
        What a run leaves in the directory. Before a further run files are moved to
        ``attempt-1``, ``attempt-2`` ..., folders (wave functions) are deleted.
    banner
        Text that the program prints as soon as it runs.
    stop_files
        Files that ask the program to save its state and end; none: it is sent SIGTERM.
    progress
        Text that the program prints as soon as it has something worth saving.
    silence
        Seconds without output after which the program is ended as frozen, at the least.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdout: str,
        stderr: str,
        volatile: Sequence[str],
        banner: str,
        stop_files: Sequence[str] = (),
        progress: str = "",
        silence: float = SILENCE,
    ) -> None:
        self.argv = list(argv)
        self.stdout = stdout
        self.stderr = stderr
        self.volatile = list(volatile)
        self.banner = banner
        self.stop_files = list(stop_files)
        self.progress = progress
        self.silence = silence
        self.places = Places([None])
        self.options: list[str] = []
        self.attempts = 0
        self.wall = 0.0
        self._core: int | None = None
        self._since: float | None = None  # monotonic time when it took its place
        self.running: subprocess.Popen[bytes] | None = None
        self.folder: Path | None = None
        self._ended = False
        self._saved_by = 0.0  # monotonic time until which it may save
        self._lock = threading.Lock()

    def setup(self, directory: str | Path = "./") -> None:
        """Nothing: the labeler has written the inputs."""

    def run(self, directory: str | Path = "./") -> subprocess.Popen[bytes]:
        """Wait for a place and start the program there, in a session of its own."""
        folder = Path(directory)
        self.folder = folder
        if self.attempts:
            _put_away(folder, self.volatile, folder / f"attempt-{self.attempts}")
        self.leave()
        self._core = self.places.take()
        self._since = time.monotonic()
        with self._lock:
            if self._ended:
                raise Stopped
            self.attempts += 1
            self.running = self._start(folder)
        watch = threading.Thread(target=self._watch, args=(self.running, folder), daemon=True)
        watch.start()
        return self.running

    def leave(self) -> None:
        """Give the place back; its time counts as that of the program."""
        if self._since is not None:
            self.wall += time.monotonic() - self._since
            self._since = None
            self.places.give_back(self._core)

    def _watch(self, program: subprocess.Popen[bytes], folder: Path) -> None:
        """End `program` when it prints nothing for far longer than it ever paused before."""
        output = folder / self.stdout
        size, since, longest = 0, time.monotonic(), 0.0
        look = min(LOOK, 0.2 * self.silence)
        while program.returncode is None:  # set by the thread that waits for it
            time.sleep(look)
            now = time.monotonic()
            grown = _size(output)
            if grown != size:
                longest = max(longest, now - since) if size else longest
                size, since = grown, now
            elif now - since > max(self.silence, SILENT_STEPS * longest):
                with (folder / self.stderr).open("a") as err:
                    err.write(f"fw_nnp: silent for {now - since:.0f} s, {FROZEN}\n")
                _end_group(program)
                return

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        argv = [*self.argv, *self.options]
        with (folder / self.stdout).open("wb") as out, (folder / self.stderr).open("wb") as err:
            try:
                return subprocess.Popen(
                    argv,
                    cwd=folder,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    preexec_fn=partial(_die_with, os.getpid(), self._pinned()),
                )
            except OSError as error:
                raise EngineError(
                    f"'{argv[0]}' cannot be started: {error.strerror}",
                    place=str(folder),
                    remedy="install it, or correct its command under env: of the worker file",
                ) from error

    def _pinned(self) -> int | None:
        """The core to keep to; launchers bind their ranks themselves."""
        return self._core if Path(self.argv[0]).name not in LAUNCHERS else None

    def postprocess(self, directory: str | Path = "./") -> None:
        """Nothing: proof and clean-up belong to the labeler."""

    def end(self) -> None:
        """Ask the program to end, and never start again."""
        with self._lock:
            self._ended = True
        if self.running is None or self.running.poll() is not None:
            return
        if self.folder is not None and self.stop_files:
            far = self.progress in (self.folder / self.stdout).read_text(errors="replace")
            self._saved_by = time.monotonic() + (SAVING if far else NOTHING_DONE)
            for name in self.stop_files:
                path = self.folder / name
                if path.parent.is_dir():
                    path.touch()
        else:
            _signal_group(self.running.pid, signal.SIGTERM)

    def terminate(self, directory: str | Path = "./") -> None:
        """End the process group for sure (custodian's own `Job.terminate` does nothing).

        A program that can save its state has time for it first.
        """
        program = self.running
        if program is None or program.poll() is not None:
            return
        if not _waited(program, max(0.0, self._saved_by - time.monotonic())):
            _end_group(program)

    def note_signal(self, folder: Path) -> None:
        """Say in its standard error that a signal ended the program; it could not itself."""
        code = self.running.returncode if self.running else None
        if code is not None and code < 0:
            with (folder / self.stderr).open("a") as err:
                err.write(f"fw_nnp: {BY_SIGNAL} {-code} ({signal.Signals(-code).name})\n")

    def never_ran(self, folder: Path) -> bool:
        """True where the program ended by itself before its banner."""
        code = self.running.returncode if self.running else None
        printed = (folder / self.stdout).read_text(errors="replace")
        return code is not None and code > 0 and self.banner not in printed

    def as_dict(self) -> dict[str, Any]:
        """For custodian's log."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            "argv": self.argv,
            "options": self.options,
        }


class _Ended(ErrorHandler):
    """Comes before all other handlers: frees the core, so that they do not keep it idle.

    A program that cannot run fails for every structure: an error of the machine.
    """

    def __init__(self, job: ProgramJob) -> None:
        self.job = job

    def check(self, directory: str | Path = "./") -> bool:
        self.job.leave()
        folder = Path(directory)
        self.job.note_signal(folder)
        if self.job.never_ran(folder):
            said = (folder / self.job.stderr).read_text(errors="replace").strip()
            raise EngineError(
                f"'{self.job.argv[0]}' ended at once: {said[-300:] or 'it said nothing'}",
                place=str(folder),
                remedy="run it by hand; correct its command under env: of the worker file",
            )
        return False

    def correct(self, directory: str | Path = "./") -> dict[str, Any]:
        """Nothing: `check` never says yes."""
        return {"errors": [], "actions": None}


class Custody:
    """Runs jobs under custodian, possibly from several threads, and can end them all.

    Parameters
    ----------
    max_attempts
        Runs of one job, repairs included.
    cores
        See `Places`; default: one program at a time.
    """

    def __init__(self, max_attempts: int, cores: Sequence[int | None] = (None,)) -> None:
        self.max_attempts = max_attempts
        self._places = Places(cores)
        self._jobs: set[ProgramJob] = set()
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def stopped(self) -> bool:
        return self._stopping

    def stop(self) -> None:
        """End what runs and let nothing start any more."""
        with self._lock:
            self._stopping = True
            jobs = list(self._jobs)
        for job in jobs:
            job.end()
        for job in jobs:
            job.terminate()

    def run(self, job: ProgramJob, handlers: Sequence[ErrorHandler], directory: Path) -> None:
        """Run `job` until its handlers find no more to repair; success is for others to prove.

        Raises
        ------
        Stopped
            `stop` was called.
        EngineError
            The program cannot be started, or ends at once without a sign of life.
        """
        with self._lock:
            if self._stopping:
                raise Stopped
            self._jobs.add(job)
        job.places = self._places
        try:
            # No monitors: custodian then waits for the program without polling.
            Custodian(
                handlers=[_Ended(job), *handlers],
                jobs=[job],
                max_errors=self.max_attempts,
                max_errors_per_job=self.max_attempts,
                directory=str(directory),
            ).run()  # type: ignore[no-untyped-call]
        except CustodianError as error:
            # Not repaired: the labeler's proof will fail and name the cause.
            log.info("%s: %s", directory.name, error.message)
        finally:
            job.leave()
            with self._lock:
                self._jobs.discard(job)
        if self._stopping:
            raise Stopped


def _size(path: Path) -> int:
    """Bytes in a file; 0 where there is none, also one that has just gone with its folder."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _put_away(folder: Path, names: Sequence[str], attempt: Path) -> None:
    """Move files to `attempt` and delete folders, so that no run reads another's output."""
    attempt.mkdir(exist_ok=True)
    for name in names:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.rename(attempt / name)


def _die_with(parent: int, core: int | None) -> None:
    """In the child: be killed when the thread that waits for it is gone; stay on `core`."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _waited(program: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for `program`; whether it has ended."""
    try:
        program.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_group(program: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for those who do not listen."""
    _signal_group(program.pid, signal.SIGTERM)
    if not _waited(program, GRACE):
        _signal_group(program.pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
