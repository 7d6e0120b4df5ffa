"""A worker: FireWorks' launch_rocket in a loop that stops in good order.

`rlaunch rapidfire` does the same work; it lacks the stop flag, goes on with the next Firework
after a signal, and does not say who it is: the worker's name carries host and pid, so that a
dead one is told from a slow one.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from fireworks import FWorker, LaunchPad
from fireworks.core.rocket_launcher import launch_rocket

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def named_worker(name: str, category: Sequence[str], env: dict[str, Any]) -> FWorker:
    """A FireWorks worker whose name says which process it is: ``name@host:pid``."""
    return FWorker(name=f"{name}@{platform.node()}:{os.getpid()}", category=list(category), env=env)


def work(
    launchpad: LaunchPad,
    fworker: FWorker,
    launches: Path,
    *,
    forever: bool,
    with_parent: bool = False,
    poll_s: float = 0.5,
) -> int:
    """Run Fireworks until there are none, or a signal asks to stop; returns how many ran.

    Parameters
    ----------
    launches
        Folder of the launch directories.
    forever
        Wait for more when there is nothing to do.
    with_parent
        Stop in good order when the process that started this one is gone.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in SIGNALS:
        signal.signal(number, on_signal)
    if with_parent:
        threading.Thread(target=_follow_parent, args=(os.getppid(),), daemon=True).start()
    launches.mkdir(parents=True, exist_ok=True)
    ran = 0
    while not stop.is_set():
        if launchpad.run_exists(fworker):
            ran += _launch(launchpad, fworker, launches)
        elif not forever:
            break
        else:
            stop.wait(poll_s)
    return ran


def _launch(launchpad: LaunchPad, fworker: FWorker, launches: Path) -> int:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    directory = launches / f"{stamp}-{os.getpid()}"
    directory.mkdir()
    os.chdir(directory)
    try:
        return int(bool(launch_rocket(launchpad, fworker, strm_lvl="WARNING")))
    finally:
        os.chdir(launches)
        if not any(directory.iterdir()):
            directory.rmdir()


def _follow_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
