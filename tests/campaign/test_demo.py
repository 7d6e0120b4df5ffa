"""The main job on the real engines, quick: interrupted, killed, run to its end, run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from campaigns import BIN, FW_NNP, check_campaign, open_store, run, write_quick
from pymongo import MongoClient

from fw_nnp.core.errors import FwNnpError
from fw_nnp.services import mongod
from fw_nnp.services.launchpad import connect, read

pytestmark = pytest.mark.engines
NAME = "al-quickstart-quick"


def labels(directory: Path) -> dict[str, object]:
    """Id -> time of every DFT label."""
    store = open_store(directory)
    fields = ["created"]
    return {
        d["_id"]: d["created"] for d in store.label_documents({"code": "espresso"}, fields=fields)
    }


def steps(directory: Path) -> int:
    """Number of finished steps."""
    return len(open_store(directory).steps(NAME))


def stop_when(directory: Path, command: list, ready: Callable[[], bool], number: int) -> int:
    """Start the demo, send it a signal once something is `ready`; returns its exit code."""
    log = directory / "stopped.log"
    with log.open("a") as file:
        demo = subprocess.Popen(
            [*map(str, command)], cwd=directory, stdout=file, stderr=file, start_new_session=True
        )
    deadline = time.monotonic() + 240
    try:
        while not _is_ready(ready):
            assert demo.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        demo.send_signal(number)
        return demo.wait(timeout=90)
    finally:
        demo.kill()
        demo.wait()


def _is_ready(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except FwNnpError:
        time.sleep(0.5)
        return False  # the server is not there yet


@pytest.fixture(scope="module")
def demo(lmp, pw, mongod_program, tmp_path_factory: pytest.TempPathFactory):
    """A directory in which the demo was interrupted, killed, and then run to its end."""
    directory = tmp_path_factory.mktemp("demo")
    command = [*FW_NNP, "demo", write_quick("al_quickstart", directory)]
    code = stop_when(directory, command, lambda: steps(directory) >= 2, signal.SIGINT)
    launchpad = connect(directory / "my_launchpad.yaml")
    states = Counter(fw["state"] for fw in launchpad.fireworks.find({}, {"state": 1}))
    assert (code, states["RUNNING"], states["FIZZLED"]) == (130, 0, 0)  # Ctrl-C, in good order
    stop_when(directory, command, lambda: len(labels(directory)) >= 4, signal.SIGKILL)
    before = labels(directory)
    last = run(command, directory)
    yield directory, command, before, last
    mongod.stop(directory)


def test_the_killed_demo_went_on_and_repeated_no_label(demo) -> None:
    directory, _, before, last = demo
    after = labels(directory)
    assert len(before) >= 4
    assert {key: after[key] for key in before} == before
    assert "report.html" in last.stdout
    assert "model.pt" in last.stdout
    assert (directory / "results" / NAME / "report.html").exists()


def test_its_report_holds_what_was_promised(demo) -> None:
    directory, *_ = demo
    numbers = check_campaign(directory, NAME)
    assert numbers["test_errors"]["potential"]["force_meV_A"]["rmse"] > 0


def test_a_second_run_repeats_nothing(demo) -> None:
    directory, command, *_ = demo
    launchpad = connect(directory / "my_launchpad.yaml")
    before = labels(directory), launchpad.launches.count_documents({})
    run(command, directory, timeout=60)
    assert (labels(directory), launchpad.launches.count_documents({})) == before


def test_stock_tools_and_a_plain_client_see_it(demo) -> None:
    directory, *_ = demo
    workflows = json.loads(run([BIN / "lpad", "get_wflows"], directory).stdout)
    assert {w["state"] for w in workflows} == {"COMPLETED"}
    settings = read(directory / "my_launchpad.yaml")
    with MongoClient(
        settings.host,
        settings.port,
        username=settings.username,
        password=settings.password,
        directConnection=True,
    ) as client:
        found = client[settings.name].labels.find_one({"code": "espresso", "phase": "liquid"})
    assert found["elements"] == ["Al"]


def test_no_secret_is_in_specs_or_launch_directories(demo) -> None:
    directory, *_ = demo
    password = read(directory / "my_launchpad.yaml").password
    launchpad = connect(directory / "my_launchpad.yaml")
    for collection in (launchpad.fireworks, launchpad.workflows, launchpad.launches):
        assert password not in json.dumps(list(collection.find({})), default=str)
    files = [p for p in (directory / "launches").rglob("*") if p.is_file()]
    files += list((directory / ".fw-nnp" / "logs").iterdir())
    assert files
    assert not any(password in path.read_text(errors="replace") for path in files)


def test_no_process_is_left_but_the_server(demo) -> None:
    directory, *_ = demo
    mine = str(directory).encode()
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
                cwd = os.readlink(entry / "cwd").encode()
            except OSError:
                continue  # it ended while we looked
            if cwd.startswith(mine) and b"mongod" not in command:
                left.append(command)
    assert left == []
