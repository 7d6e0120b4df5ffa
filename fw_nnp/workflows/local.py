"""A campaign on this machine: private server, two workers as processes, until it is done.

Killed at any moment and started again, it goes on: the server keeps its data, dead workers'
Fireworks are made READY, and no label is made twice.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fireworks import LaunchPad

from fw_nnp.core.errors import EngineError, FwNnpError
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.services import launchpad as launchpads
from fw_nnp.services import mongod
from fw_nnp.services.maintenance import launch_is_dead, recover
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store

from .advance import advance
from .check import check_programs
from .status import CampaignStatus, campaign_status
from .submit import initialise, submit_campaign

CPU, GPU = "md,dft", "gpu"
GRACE_S = 60.0


def run_locally(
    spec: CampaignSpec,
    *,
    base: Path,
    directory: Path,
    watch: Callable[[CampaignStatus], None],
    poll_s: float = 0.5,
) -> tuple[LaunchPad, Store]:
    """Run a campaign in `directory` to its end; returns the launchpad and the store.

    Parameters
    ----------
    base
        Folder of the campaign file.
    watch
        Called with the status after every look.

    Raises
    ------
    FwNnpError
        A step fizzled, the gate stays closed, or the workers died again and again.
    """
    check_programs(spec)
    with _alone(directory):
        server = mongod.start(directory)
        path = launchpads.use_server(directory, server)
        launchpad = launchpads.connect(path)
        store = Store(MongoDocuments(launchpad.db))
        initialise(launchpad, store)
        recover(launchpad, launches_dead=launch_is_dead, grace=0.0)
        submit_campaign(launchpad, store, spec, base=base)
        with _workers(directory, path) as check:
            while True:
                status = campaign_status(launchpad, store, spec.name)
                watch(status)
                if status.finished:
                    return launchpad, store
                _refuse_failures(status)
                check()
                if store.is_planned(spec.name):
                    advance(launchpad, store, spec.name)
                time.sleep(poll_s)


def _refuse_failures(status: CampaignStatus) -> None:
    for failure in status.failures:
        raise FwNnpError(
            f"{failure['name']} fizzled: {failure['reason']}",
            place=f"Firework {failure['fw_id']}",
            remedy=failure["remedy"]
            or f"mend it, then say: lpad rerun_fws -i {failure['fw_id']}, and start again",
        )
    if status.hopeless:
        raise FwNnpError(
            f"only {status.labels} labels, {status.quarantined} structures in quarantine: "
            "the gate stays closed",
            place=status.campaign,
            remedy="see fw-nnp status --quarantine; mend the cause or lower min_yield",
        )


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One run per directory; the kernel lets go when its owner dies."""
    place = directory / ".fw-nnp"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "run.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(
                "another run is going on in this directory",
                place=str(directory),
                remedy="wait for it, watch it with fw-nnp status, or use another directory",
            ) from None
        yield


@contextmanager
def _workers(directory: Path, launchpad: Path) -> Iterator[Callable[[], None]]:
    """One CPU and one training worker; yields a check that they live."""
    logs = directory / ".fw-nnp" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    workers = {
        category: _start(category, share, directory, launchpad, logs)
        for category, share in ((CPU, cores), (GPU, max(1, cores // 2)))
    }

    def check() -> None:
        for category, worker in workers.items():
            if worker.poll() is not None:
                log = logs / f"{category.replace(',', '-')}.log"
                tail = log.read_text(errors="replace").strip().splitlines()[-5:]
                raise EngineError(
                    f"the {category} worker ended with {worker.returncode}: " + " | ".join(tail),
                    place=str(log),
                    remedy="start again: the campaign goes on where it stopped",
                )

    try:
        yield check
    finally:
        _stop(list(workers.values()))


def _start(
    category: str, cores: int, directory: Path, launchpad: Path, logs: Path
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fw_nnp.cli.main", "work", "--category", category]
    command += ["--cores", str(cores), "--forever", "--with-parent", "-l", str(launchpad)]
    with (logs / f"{category.replace(',', '-')}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; we tell the workers
        )


def _stop(workers: list[subprocess.Popen[bytes]]) -> None:
    """Ask for a stop in good order, then insist."""
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    for worker in workers:
        try:
            worker.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
