"""The campaign on stand-ins through the real FireWorks: stopped, killed, and run to its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import stand_ins
from fireworks import LaunchPad

from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.services import mongod
from fw_nnp.services.launchpad import connect, prepare, use_server
from fw_nnp.services.maintenance import launch_is_dead, recover
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store
from fw_nnp.workflows.submit import initialise, submit_campaign

pytestmark = pytest.mark.engines
SLOW = {"engine": "stand_ins:slow_dft_like", "elements": ["Al"]}
WORK = [sys.executable, "-m", "fw_nnp.cli.main", "work", "-l", "my_launchpad.yaml"]
RLAUNCH = [str(Path(sys.executable).parent / "rlaunch"), "-s", "rapidfire"]


@pytest.fixture
def submitted(launchpad_file: Path, launchpad: LaunchPad) -> tuple[Path, LaunchPad, Store]:
    """The stand-in campaign, submitted; its directory, launchpad and store."""
    return launchpad_file.parent, launchpad, submit(launchpad, launchpad_file.parent)


def submit(launchpad: LaunchPad, directory: Path) -> Store:
    changes = {
        "relabel": {"theory": {"potential": SLOW}, "chunk_size": 40},
        "train": {"stages": [{"name": "transfer", "epochs": 2, "batch_size": 4}]},
    }
    spec = parse(CampaignSpec, merged(stand_ins.campaign(), changes), place="test")
    store = Store(MongoDocuments(launchpad.db))
    initialise(launchpad, store)
    submit_campaign(launchpad, store, spec, base=directory)
    return store


def start(directory: Path, command: list[str] = WORK) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    with (directory / "work.log").open("a") as log:
        return subprocess.Popen(command, cwd=directory, env=env, stdout=log, stderr=log)


def wait_for_questions(directory: Path, worker: subprocess.Popen, count: int) -> None:
    notes = directory / "questions.txt"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and worker.poll() is None:
        if notes.exists() and len(notes.read_text().splitlines()) >= count:
            return
        time.sleep(0.05)
    pytest.fail("the chunk did not start: " + (directory / "work.log").read_text()[-3000:])


def finish(directory: Path) -> None:
    worker = start(directory)
    assert worker.wait(timeout=180) == 0, (directory / "work.log").read_text()[-3000:]


def asked(directory: Path) -> Counter[str]:
    return Counter((directory / "questions.txt").read_text().split())


@pytest.mark.parametrize(("command", "code"), [(WORK, 0), (RLAUNCH, 143)], ids=["ours", "stock"])
def test_sigterm_ends_a_chunk_in_good_order(submitted, command: list[str], code: int) -> None:
    directory, launchpad, store = submitted
    worker = start(directory, command)
    wait_for_questions(directory, worker, 14)  # past the ten cells of the reference
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=30) == code
    states = Counter(fw["state"] for fw in launchpad.fireworks.find({}, {"state": 1}))
    assert states["READY"] >= 1
    assert states["RUNNING"] == states["FIZZLED"] == 0
    finish(directory)
    assert max(asked(directory).values()) == 1  # nothing was asked twice
    assert "report" in {step["key"] for step in store.steps("stand-in")}
    stopped = [s for s in store.steps("stand-in") if "/stopped-" in s["key"]]
    assert stopped
    assert stopped[0]["wall_s"] > 0


def test_kill_9_loses_nothing_and_repeats_what_was_in_flight(submitted) -> None:
    directory, launchpad, store = submitted
    worker = start(directory)
    wait_for_questions(directory, worker, 14)
    worker.kill()
    worker.wait()
    kept = store.count_labels({"code": "empirical", "purpose": "training"})
    recovered = recover(launchpad, launches_dead=launch_is_dead, grace=0.0)
    assert recovered.rerun
    finish(directory)
    repeated = [key for key, times in asked(directory).items() if times > 1]
    assert len(repeated) <= 1  # one at a time was in flight
    assert store.count_labels({"code": "empirical", "purpose": "training"}) >= max(kept, 30)
    assert "report" in {step["key"] for step in store.steps("stand-in")}


@pytest.fixture
def own_server(mongod_program: list[str], tmp_path: Path) -> Iterator[tuple[Path, LaunchPad]]:
    """A server that may be killed, and its launchpad."""
    pad = connect(use_server(tmp_path, mongod.start(tmp_path)))
    prepare(pad)
    yield tmp_path, pad
    pad.connection.close()
    mongod.stop(tmp_path)
    shutil.rmtree(mongod.home(tmp_path))


def test_kill_9_on_the_server_is_waited_for(own_server) -> None:
    """The worker keeps its answer until the server is back, and asks nothing again."""
    directory, launchpad = own_server
    store = submit(launchpad, directory)
    worker = start(directory)
    wait_for_questions(directory, worker, 14)
    os.kill(mongod.start(directory).pid, signal.SIGKILL)
    time.sleep(1.0)
    mongod.start(directory)
    wait_for_questions(directory, worker, 24)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0, (directory / "work.log").read_text()[-3000:]
    assert max(asked(directory).values()) == 1
    assert store.count_labels({"code": "empirical", "purpose": {"$ne": "pool"}}) == len(
        asked(directory)
    )
    states = Counter(fw["state"] for fw in launchpad.fireworks.find({}, {"state": 1}))
    assert states["RUNNING"] == states["FIZZLED"] == 0
