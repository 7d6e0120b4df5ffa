"""The campaign on stand-ins through the real FireWorks: stopped, killed, and run to its end."""

from __future__ import annotations

import json
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
from ase.build import bulk
from ase.io import write
from campaigns import COARSE_PW
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


# ---------------------------------------------------------------- the real pw.x

CELLS = 16
CORES = 2
# A worker whose pw.x notes each structure that it starts with.
WORK_WITH = [
    sys.executable,
    "-c",
    """
import json, sys
from pathlib import Path
from fw_nnp.services.launchpad import connect
from fw_nnp.workflows.worker import named_worker, work
here = Path.cwd()
worker = named_worker("all", ["md", "dft", "gpu"], json.loads(sys.argv[1]))
work(connect(here / "my_launchpad.yaml"), worker, here / "launches", forever=False)
""",
]
NOTING = 'basename "$PWD" >> {notes}; sleep 0.3; exec "$@"'


def submit_real(launchpad: LaunchPad, directory: Path, pw: list[str]) -> tuple[Store, list[str]]:
    """A campaign of rattled cells at the level of pw.x; its store and its worker's command."""
    cells = []
    for seed in range(CELLS):
        atoms = bulk("Al", "fcc", a=4.05).repeat((2, 1, 1))
        atoms.rattle(0.08, seed=seed)
        cells.append(atoms)
    write(directory / "given.xyz", cells)
    plain = stand_ins.campaign()
    del plain["relabel"], plain["train"]["stages"]
    changes = {
        "sample": {"protocols": [{"kind": "import", "file": "given.xyz", "always": True}]},
        "select": {"phases": {"solid": 0}},
        "relabel": {"theory": COARSE_PW, "chunk_size": CELLS},
        "dataset": {"split_by": "random"},
        "train": {"stages": [{"name": "train", "epochs": 1, "batch_size": 8}]},
    }
    store = Store(MongoDocuments(launchpad.db))
    initialise(launchpad, store)
    spec = parse(CampaignSpec, merged(plain, changes), place="test")
    submit_campaign(launchpad, store, spec, base=directory)
    env = {
        "scratch": str(directory / "scratch"),
        "results": str(directory / "results"),
        "cores": CORES,
        "pw_cmd": ["sh", "-c", NOTING.format(notes=directory / "questions.txt"), "sh", *pw],
    }
    return store, [*WORK_WITH, json.dumps(env)]


def check_labels(store: Store, directory: Path) -> None:
    """Every structure has one label; what was in flight was repeated at most."""
    labels = [
        item.configuration.id
        for item in store.labels({"campaign": "stand-in", "purpose": "training"})
    ]
    assert len(labels) == len(set(labels)) == CELLS
    assert set(labels) <= set(asked(directory))
    assert sum(times - 1 for times in asked(directory).values()) <= CORES
    assert list(store.quarantined({"campaign": "stand-in"})) == []
    assert "report" in {step["key"] for step in store.steps("stand-in")}


@pytest.mark.slow
def test_kill_9_on_a_worker_of_pw_loses_nothing(pw, launchpad_file, launchpad) -> None:
    directory = launchpad_file.parent
    store, command = submit_real(launchpad, directory, pw)
    worker = start(directory, command)
    wait_for_questions(directory, worker, 10)
    worker.kill()
    worker.wait()
    assert recover(launchpad, launches_dead=launch_is_dead, grace=0.0).rerun
    worker = start(directory, command)
    assert worker.wait(timeout=180) == 0, (directory / "work.log").read_text()[-3000:]
    check_labels(store, directory)


@pytest.mark.slow
def test_kill_9_on_the_server_of_pw_loses_nothing(pw, own_server) -> None:
    directory, launchpad = own_server
    store, command = submit_real(launchpad, directory, pw)
    worker = start(directory, command)
    wait_for_questions(directory, worker, 10)
    os.kill(mongod.start(directory).pid, signal.SIGKILL)
    time.sleep(1.0)
    mongod.start(directory)
    if worker.wait(timeout=240) != 0:  # it may give up; then another one goes on
        recover(launchpad, launches_dead=launch_is_dead, grace=0.0)
        worker = start(directory, command)
        assert worker.wait(timeout=180) == 0, (directory / "work.log").read_text()[-3000:]
    check_labels(store, directory)
