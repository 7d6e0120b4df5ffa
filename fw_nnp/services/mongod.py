"""A private MongoDB server: one-node replica set, loopback, password, in ``DIR/.fw-nnp/mongod``.

A replica set of one keeps acknowledged writes through a crash and gives transactions.
The server is made under another name (``mongod.new``) and renamed when it has its
replica set and its user, so one that exists is complete; whether it runs is read from
the lock file that mongod itself keeps and from /proc, so no record of ours can be stale.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from fw_nnp.core.errors import EngineError

from .engines import find_programs
from .private import write_private

HOST = "127.0.0.1"
USERNAME = "fw_nnp"
REPLICA_SET = "rs0"
SPACE_NEEDED = 1 << 30
"""Free bytes below which the server is not started: MongoDB stops hard on a full disk."""
# By default the threads that insert must write out pages once a fifth of the cache is new, and
# an index page then goes to disk for every few labels on it. Later costs a third to a half less
# processor time in bulk; the memory stays that of the cache, and the journal keeps what is safe.
_EVICTION = ",".join(
    f"eviction_{kind}_target=40,eviction_{kind}_trigger=60" for kind in ("dirty", "updates")
)
_PORT_TAKEN = 48  # exit code of mongod
_NOT_YET_READ = 94  # NotYetInitialized
_PATIENCE = 60.0  # seconds for the server to answer or to stop


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running private server."""

    directory: Path
    """The working directory; the server's own files are under ``.fw-nnp/mongod`` in it."""
    pid: int
    port: int
    password: str = field(repr=False)
    host: str = HOST
    username: str = USERNAME


def home(directory: Path) -> Path:
    """Folder of the private server of `directory`: data, log, password."""
    return directory.resolve() / ".fw-nnp" / "mongod"


def status(directory: Path) -> Server | None:
    """The running server of `directory`, or None."""
    place = home(directory)
    argv = _running(place)
    if not argv or not (place / "password").exists():
        return None
    return Server(
        directory=directory.resolve(),
        pid=_pid(place),
        port=int(argv[argv.index("--port") + 1]),
        password=(place / "password").read_text(),
    )


def start(directory: Path) -> Server:
    """Start the private server of `directory`, making it first where there is none.

    A server that runs is returned as it is. Killed at any point, the next start goes on.

    Raises
    ------
    EngineError
        No mongod, no space, or the server does not start; the message ends with its log.
    """
    place = home(directory)
    mongod = find_programs().require("mongod")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _require_space(place.parent)
        with _alone(place.with_name("mongod.starting")):
            if not place.exists():
                _make(place, mongod)
            if not _running(place):
                _launch(place, mongod, _recorded_port(place))
            server = status(directory)
            if server is None:
                raise EngineError(
                    "the server or its password is gone", place=str(place), remedy=_reason(place)
                )
            _make_primary(server)
            write_private(place / "port", str(server.port))
            return server
    except OSError as error:
        raise EngineError(
            f"cannot be written: {error.strerror}",
            place=str(error.filename or place),
            remedy="free some space or work in another directory",
        ) from error
    except PyMongoError as error:
        raise EngineError(
            f"the server does not answer: {error}", place=str(place), remedy=_reason(place)
        ) from error


def stop(directory: Path) -> bool:
    """Stop the server of `directory` cleanly; False where none runs."""
    return _terminate(home(directory))


# ---------------------------------------------------------------- making and starting


def _make(place: Path, mongod: list[str]) -> None:
    """Make the server under another name, with replica set and user, then give it its name."""
    draft = place.with_name("mongod.new")
    _terminate(draft)  # left by a start that was killed; nobody has its password
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "data").mkdir(parents=True, mode=0o700)
    draft.chmod(0o700)
    write_private(draft / "keyfile", secrets.token_hex(32))
    write_private(draft / "password", secrets.token_urlsafe(24))
    port = _launch(draft, mongod, _free_port())
    member = {"_id": 0, "host": f"{HOST}:{port}"}
    # Until its first user exists, the server lets loopback clients in to create one.
    with _client(port, None) as client:
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        _wait(lambda: client.admin.command("hello")["isWritablePrimary"], draft)
        password = (draft / "password").read_text()
        client.admin.command("createUser", USERNAME, pwd=password, roles=["root"])
    _terminate(draft)
    write_private(draft / "port", str(port))
    draft.rename(place)


def _launch(place: Path, mongod: list[str], port: int) -> int:
    """Start mongod as a daemon on `port`, or on a free one where it is taken; return the port."""
    log = place / "mongod.log"
    if not _running(place):
        _wait(lambda: _ended(_pid(place)), place)  # the last one may still be dying
    for candidate in (port, _free_port(), _free_port()):
        done = subprocess.run(
            [
                *mongod,
                *("--dbpath", str(place / "data"), "--keyFile", str(place / "keyfile")),
                *("--bind_ip", HOST, "--port", str(candidate), "--nounixsocket"),
                *("--replSet", REPLICA_SET, "--oplogSize", "512"),
                *("--wiredTigerCacheSizeGB", f"{_cache_size():.2f}"),
                *("--wiredTigerEngineConfigString", _EVICTION),
                *("--fork", "--logpath", str(log), "--logappend"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal does not reach it
        )
        if argv := _running(place):  # the one just started, or one still starting from before
            return int(argv[argv.index("--port") + 1])
        if done.returncode != _PORT_TAKEN:
            break
    if done.returncode == -signal.SIGILL:
        raise EngineError(
            "mongod cannot run on this processor",
            place=mongod[0],
            remedy="MongoDB 5 and later need AVX: use a server on another machine",
        )
    raise EngineError(
        f"mongod does not start (exit code {done.returncode})",
        place=str(log if log.exists() else mongod[0]),
        remedy=_reason(place) or done.stdout.strip()[-500:],
    )


def _cache_size() -> float:
    """GB of the server's cache: an eighth of the memory, at least 0.25 and at most 4.

    It grows with the data only. Where the indexes do not fit in, every insert in bulk reads and
    writes their pages.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return min(max(0.25, memory / 8), 4.0)


def _make_primary(server: Server) -> None:
    """Wait until `server` takes writes, telling its replica set of a new port if need be."""
    with _client(server.port, server.password) as client:
        _wait(lambda: _replica_set(client), home(server.directory))
        config = _replica_set(client)
        address = f"{HOST}:{server.port}"
        if config["members"][0]["host"] != address:
            config["members"][0]["host"] = address
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)
        _wait(lambda: client.admin.command("hello")["isWritablePrimary"], home(server.directory))


def _replica_set(client: MongoClient[dict[str, Any]]) -> dict[str, Any]:
    """Configuration of the replica set; empty while the server has not read it yet."""
    try:
        config: dict[str, Any] = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_READ:
            raise
        return {}
    return config


def _client(port: int, password: str | None) -> MongoClient[dict[str, Any]]:
    user: dict[str, Any] = {}
    if password is not None:
        user = {"username": USERNAME, "password": password, "authSource": "admin"}
    return MongoClient(
        HOST, port, directConnection=True, serverSelectionTimeoutMS=int(_PATIENCE * 1000), **user
    )


def _recorded_port(place: Path) -> int:
    file = place / "port"
    return int(file.read_text()) if file.exists() else _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPACE_NEEDED:
        raise EngineError(
            f"only {free / 1e6:.0f} MB are free, the server needs {SPACE_NEEDED / 1e6:.0f} MB",
            place=str(folder),
            remedy="free some space or work in another directory",
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one start at a time through; the kernel lets go when its owner dies."""
    with path.open("w") as file:
        flock(file, LOCK_EX)
        yield


# ---------------------------------------------------------------- watching and stopping


def _pid(place: Path) -> int:
    """The pid that mongod wrote into its lock file; 0 where it stopped cleanly or never ran."""
    lock = place / "data" / "mongod.lock"
    text = lock.read_text().strip() if lock.exists() else ""
    return int(text) if text.isdigit() else 0


def _running(place: Path) -> list[str]:
    """Command line of the server of `place`; empty where its pid is dead or another program's."""
    pid = _pid(place)
    command = Path(f"/proc/{pid}/cmdline")
    if not pid or not command.exists():
        return []
    argv = command.read_bytes().decode(errors="replace").split("\0")
    return argv if str(place / "data") in argv else []


def _terminate(place: Path) -> bool:
    if not _running(place):
        return False
    pid = _pid(place)
    os.kill(pid, signal.SIGTERM)
    _wait(lambda: _ended(pid), place)
    return True


def _ended(pid: int) -> bool:
    """Whether no mongod has this pid, or one that has closed its files and port.

    While it dies, its command line is gone first, then its first thread, its files last.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return True
    return fields[0] != "mongod" or (fields[2].split()[0] in "ZX" and threads <= 1)


def _wait(condition: Callable[[], object], place: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise EngineError(
                f"the server did not follow in {_PATIENCE:.0f} s",
                place=str(place / "mongod.log"),
                remedy=_reason(place),
            )
        time.sleep(0.02)


def _reason(place: Path) -> str:
    """The last complaints in the server's log, in words."""
    log = place / "mongod.log"
    lines = log.read_text(errors="replace").splitlines()[-200:] if log.exists() else []
    complaints = []
    for line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            complaints.append(line)
            continue
        if entry.get("s") in ("E", "F"):
            detail = entry.get("attr", {})
            complaints.append(f"{entry.get('msg')} {detail.get('error', '')}".strip())
    return "its log says: " + "; ".join(complaints[-3:]) if complaints else ""
