"""A sweep returns to READY what dead workers left, and never touches what lives."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fireworks import Firework, FWAction, FWorker, Workflow
from fireworks.core.rocket_launcher import launch_rocket
from fireworks.user_objects.firetasks.script_task import PyTask

from fw_nnp.services.maintenance import Recovered, launch_is_dead, recover

pytestmark = pytest.mark.engines
HERE = f"{platform.node()}:{os.getpid()}"

WORKER = """
import os, platform, sys
from pathlib import Path
from fireworks import FWorker
from fireworks.core.rocket_launcher import launch_rocket
from fw_nnp.services.launchpad import connect
launch_rocket(connect(Path(sys.argv[1])), FWorker(name=f"w@{platform.node()}:{os.getpid()}"))
"""


@pytest.fixture(autouse=True)
def _scratch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # launch_rocket writes FW.json into the working directory


def add_pair(pad, seconds: float = 0.0) -> tuple[int, int]:
    """Two Fireworks, one after the other, that sleep; their fw_ids."""
    task = PyTask(func="time.sleep", args=[seconds])
    first = Firework([task], name="first")
    second = Firework([task], name="second", parents=[first])
    pad.add_wf(Workflow([first, second]))
    return first.fw_id, second.fw_id


def states(pad, *fw_ids: int) -> list[str]:
    return [pad.get_fw_by_id(fw_id).state for fw_id in fw_ids]


def check_out(pad, worker: str, state: str = "RUNNING") -> int:
    """As a worker of that name does it; the launch id."""
    return pad.checkout_fw(FWorker(name=worker), str(Path.cwd()), state=state)[1]


def sweep(pad, grace: float = 0.0) -> Recovered:
    return recover(pad, launches_dead=launch_is_dead, grace=grace)


def dead_worker() -> str:
    """Name of a worker of this host whose process has ended."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return f"w@{platform.node()}:{ended.pid}"


def test_a_worker_killed_in_the_middle_of_a_task(launchpad, launchpad_file):
    first, second = add_pair(launchpad, seconds=30)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(launchpad_file)])
    while states(launchpad, first) != ["RUNNING"]:
        time.sleep(0.05)
    assert not sweep(launchpad)  # it lives
    worker.send_signal(signal.SIGKILL)
    worker.wait()

    assert sweep(launchpad).rerun == [first]
    assert states(launchpad, first, second) == ["READY", "WAITING"]
    assert not sweep(launchpad)

    launchpad.update_spec([first, second], {"_tasks.0.args": [0]})
    assert launch_rocket(launchpad, FWorker(name=f"w@{HERE}"))
    assert launch_rocket(launchpad, FWorker(name=f"w@{HERE}"))
    assert states(launchpad, first, second) == ["COMPLETED", "COMPLETED"]


def test_a_sweep_killed_between_rerun_and_fizzle_is_completed_by_the_next(launchpad, monkeypatch):
    first, _ = add_pair(launchpad)
    launch = check_out(launchpad, dead_worker())

    def killed(launch_id: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(launchpad, "mark_fizzled", killed)
        with pytest.raises(KeyboardInterrupt):
            sweep(launchpad)
    living = check_out(launchpad, f"w@{HERE}")
    assert not sweep(launchpad).rerun  # a living worker has it now
    assert states(launchpad, first) == ["RUNNING"]
    assert launchpad.get_launch_by_id(launch).state == "FIZZLED"
    assert launchpad.get_launch_by_id(living).state == "RUNNING"


def test_reserved_without_a_launch(launchpad):
    """Killed between reserving and recording the launch: invisible to the stock tools."""
    first, _ = add_pair(launchpad)
    launchpad._get_a_fw_to_run()
    assert states(launchpad, first) == ["RESERVED"]
    assert not sweep(launchpad, grace=60.0)  # perhaps it is just being launched
    assert sweep(launchpad).rerun == [first]
    assert states(launchpad, first) == ["READY"]


def test_a_reservation_that_waits_in_the_queue_is_left_alone(launchpad):
    first, _ = add_pair(launchpad)
    check_out(launchpad, "slurm-gpu", state="RESERVED")
    assert not sweep(launchpad)
    assert states(launchpad, first) == ["RESERVED"]


def test_locked_by_a_dead_worker(launchpad):
    """Killed inside the lock, after the Firework and before the workflow was written."""
    first, second = add_pair(launchpad)
    launch = check_out(launchpad, dead_worker())
    before = launchpad.workflows.find_one({"nodes": first})
    launchpad.complete_launch(launch, FWAction())
    launchpad.workflows.replace_one({"nodes": first}, {**before, "locked": True})
    launchpad.fireworks.update_one({"fw_id": second}, {"$set": {"state": "WAITING"}})

    assert sweep(launchpad).unlocked == [min(first, second)]
    assert states(launchpad, first, second) == ["COMPLETED", "READY"]
    workflow = launchpad.workflows.find_one({"nodes": first})
    assert "locked" not in workflow
    assert workflow["fw_states"] == {str(first): "COMPLETED", str(second): "READY"}


def test_locked_by_a_living_worker_stays_locked(launchpad):
    first, _ = add_pair(launchpad)
    check_out(launchpad, f"w@{HERE}")
    launchpad.workflows.update_one({"nodes": first}, {"$set": {"locked": True}})
    assert not sweep(launchpad)
    assert launchpad.workflows.find_one({"nodes": first})["locked"]


def test_launch_done_but_its_firework_still_running(launchpad):
    first, second = add_pair(launchpad)
    launch = check_out(launchpad, dead_worker())
    ended = {"state": "COMPLETED", "action": FWAction().to_dict()}
    launchpad.launches.update_one({"launch_id": launch}, {"$set": ended})
    assert sweep(launchpad).refreshed == [first]
    assert states(launchpad, first, second) == ["COMPLETED", "READY"]


def launch(worker: str, state: str, age: float) -> dict:
    then = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    history = [{"state": state, "created_on": then, "updated_on": then}]
    return {"fworker": {"name": worker}, "state": state, "state_history": history}


@pytest.mark.parametrize(
    ("worker", "state", "age", "dead"),
    [
        (f"w@{HERE}", "RUNNING", 0.0, False),
        (f"w@{HERE}", "RUNNING", 365 * 86400.0, True),  # before this process was born
        ("w@elsewhere:1", "RUNNING", 60.0, False),
        ("w@elsewhere:1", "RUNNING", 3600.0, True),
        ("plain name", "RUNNING", 60.0, False),
        ("plain name", "RUNNING", 3600.0, True),
        ("plain name", "RESERVED", 30 * 86400.0, False),
    ],
    ids=range(7),  # not the name of this process: pytest's workers must agree on the tests
)
def test_who_is_dead(worker, state, age, dead):
    assert launch_is_dead(launch(worker, state, age)) is dead
