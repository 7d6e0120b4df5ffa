"""my_launchpad.yaml: where FireWorks and the dataset store find MongoDB.

The file is FireWorks' own, so `lpad`, `rlaunch` and `qlaunch` read it as it stands.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fw_nnp.core.errors import EngineError, SpecError
from fw_nnp.core.parsing import load_yaml, parse
from fw_nnp.core.specs import Spec

from . import mongod
from .private import readable_by_others, write_private

if TYPE_CHECKING:
    from fireworks import LaunchPad
    from pymongo import MongoClient

log = logging.getLogger(__name__)

FILE = "my_launchpad.yaml"
WORKER_PATIENCE_MS = 120_000
"""How long a worker waits for a server that is away (a restart) before it gives up."""
_HEADER = """\
# Written by fw-nnp for the private MongoDB server in .fw-nnp/mongod (start and stop it with
# `fw-nnp mongod`). It holds a password: keep it out of version control and readable by you only.
"""


class LaunchpadFile(Spec):
    """The keys of my_launchpad.yaml, as FireWorks 2.1 reads them."""

    host: str | None = "localhost"
    """Host name; with ``uri_mode`` a whole MongoDB connection string."""
    port: int | None = 27017
    name: str = "fw_nnp"
    """The database."""
    username: str | None = None
    password: str | None = None
    authsource: str | None = None
    """Database that knows the user; FireWorks takes `name` where it is left out."""
    uri_mode: bool = False
    mongoclient_kwargs: dict[str, Any] | None = None
    """Passed to pymongo.MongoClient: TLS, timeouts, replicaSet."""
    logdir: str | None = None
    strm_lvl: str | None = "WARNING"
    user_indices: list[str] | None = None
    wf_user_indices: list[str] | None = None

    @property
    def address(self) -> str:
        """Host and port, without the password that a connection string may hold."""
        if self.uri_mode:
            return str(self.host).rpartition("@")[2]
        return f"{self.host}:{self.port}"


def read(path: Path) -> LaunchpadFile:
    """Read and check a launchpad file.

    Raises
    ------
    SpecError
        No such file, not YAML, an unknown key or a wrong type.
    """
    if not path.exists():
        raise SpecError(
            "no such file",
            place=str(path),
            remedy="start a private server with 'fw-nnp mongod start', or write the file "
            "for your own server",
        )
    settings = parse(LaunchpadFile, load_yaml(path) or {}, place=str(path))
    if has_secret(settings) and readable_by_others(path):
        log.warning("%s holds a password and others can read it: chmod 600 %s", path, path)
    return settings


def has_secret(settings: LaunchpadFile) -> bool:
    """Whether the file holds a password, by itself or inside a connection string."""
    return bool(settings.password) or (settings.uri_mode and "@" in str(settings.host))


def write(path: Path, settings: LaunchpadFile) -> None:
    """Write `settings` whole or not at all, readable by the owner only."""
    body = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    write_private(path, _HEADER + body)


def use_server(directory: Path, server: mongod.Server) -> Path:
    """Put the private `server` into ``my_launchpad.yaml`` of `directory` and return its path.

    Only host, port, user, password and client options change; a database name that the
    user chose stays. In a git checkout the file is marked skip-worktree first, so that
    the password cannot be committed by accident.

    Raises
    ------
    SpecError
        The file names another server than the template or a private one.
    """
    path = directory / FILE
    settings = read(path) if path.exists() else LaunchpadFile()
    written_here = path.exists() and path.read_text().startswith(_HEADER)
    if not (_is_template(settings) or (written_here and _is_private(settings))):
        raise SpecError(
            f"it names your own server {settings.address}, which is left as it is",
            place=str(path),
            remedy="use that server, or move the file away to work with a private one",
        )
    mine = settings.model_copy(
        update={
            "host": server.host,
            "port": server.port,
            "username": server.username,
            "password": server.password,
            "authsource": "admin",
            "mongoclient_kwargs": {
                "directConnection": True,
                "serverSelectionTimeoutMS": WORKER_PATIENCE_MS,
            },
        }
    )
    if mine != settings or readable_by_others(path):
        _hide_from_git(path)
        write(path, mine)
    return path


def _is_template(settings: LaunchpadFile) -> bool:
    """The file of a fresh checkout names nobody's server."""
    template = LaunchpadFile()
    return all(
        getattr(settings, key) == getattr(template, key)
        for key in ("host", "port", "username", "password", "uri_mode")
    )


def _is_private(settings: LaunchpadFile) -> bool:
    return (settings.host, settings.username) == (mongod.HOST, mongod.USERNAME)


def _hide_from_git(path: Path) -> None:
    """Mark `path` skip-worktree where git tracks it."""
    git = shutil.which("git")
    if git is None:
        return
    here = [git, "-C", str(path.parent.resolve())]
    tracked = subprocess.run([*here, "ls-files", "--error-unmatch", path.name], capture_output=True)
    if tracked.returncode != 0:
        return
    done = subprocess.run(
        [*here, "update-index", "--skip-worktree", path.name], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise EngineError(
            f"git would track the password: {done.stderr.strip()}",
            place=str(path),
            remedy=f"try again, or say: git update-index --skip-worktree {path.name}",
        )


# ---------------------------------------------------------------- connecting


def connect(path: Path, *, wait: float = 5.0) -> LaunchPad:
    """Return FireWorks' LaunchPad of a launchpad file, after a look at the server.

    Parameters
    ----------
    path
        The launchpad file.
    wait
        Seconds to wait for the server; afterwards the file's own options hold.

    Raises
    ------
    SpecError
        The file is wrong.
    EngineError
        The server does not answer, refuses the user, or has no replica set yet.
    """
    settings = read(path)
    _probe(settings, str(path), wait)
    from fireworks import LaunchPad  # slow to import, and only needed here

    return LaunchPad.from_dict(settings.model_dump())


def add_reader(path: Path, name: str) -> LaunchpadFile:
    """Give a MongoDB user `name` the right to read the database of a launchpad file, no more.

    A user of that name gets a new password.

    Returns
    -------
    LaunchpadFile
        The settings with which that user connects.

    Raises
    ------
    EngineError
        The user of the launchpad file may not make users.
    """
    from pymongo.errors import OperationFailure

    settings = read(path)
    password = secrets.token_urlsafe(24)
    role = {"role": "read", "db": settings.name}
    source = settings.authsource or settings.name
    try:
        with _client(settings, wait=5.0) as client:
            known = client[source].command("usersInfo", name)["users"]
            command = "updateUser" if known else "createUser"
            client[source].command(command, name, pwd=password, roles=[role])
    except OperationFailure as error:
        raise EngineError(
            f"'{settings.username or 'no user'}' may not make users: {error}",
            place=str(path),
            remedy="ask who looks after the server, or use a launchpad file of its administrator",
        ) from error
    mine = {"username": name, "password": password, "authsource": source}
    return settings.model_copy(update=mine)


def prepare(launchpad: LaunchPad) -> None:
    """Make an empty database ready for FireWorks; unlike `lpad reset` it erases nothing."""
    if launchpad.fw_id_assigner.find_one() is None:
        counters = {"next_fw_id": 1, "next_launch_id": 1}
        launchpad.fw_id_assigner.update_one({"_id": -1}, {"$setOnInsert": counters}, upsert=True)
    launchpad.tuneup()


def _probe(settings: LaunchpadFile, place: str, wait: float) -> None:
    from pymongo.errors import ConfigurationError, ConnectionFailure, OperationFailure

    try:
        with _client(settings, wait) as client:
            hello = client.admin.command("hello")
            if hello.get("isreplicaset") and "setName" not in hello:
                raise EngineError(
                    f"the replica set of {settings.address} is not initiated",
                    place=place,
                    remedy="say rs.initiate() in its shell once",
                )
            client[settings.name].command("listCollections", nameOnly=True)
    except OperationFailure as error:
        raise _refused(settings, place, error.code) from error
    except ConfigurationError as error:
        raise SpecError(f"pymongo refuses it: {error}", place=place) from error
    except ConnectionFailure as error:
        raise EngineError(
            f"no MongoDB server answers at {settings.address}",
            place=place,
            remedy="start the private one with 'fw-nnp mongod start', or correct host and port",
        ) from error


def _client(settings: LaunchpadFile, wait: float) -> MongoClient[dict[str, Any]]:
    """The client that LaunchPad would make, only less patient."""
    from pymongo import MongoClient

    options = {**(settings.mongoclient_kwargs or {}), "serverSelectionTimeoutMS": int(wait * 1000)}
    if settings.uri_mode:
        return MongoClient(settings.host, **options)
    if settings.username is not None:
        options |= {"username": settings.username, "password": settings.password}
        options["authSource"] = settings.authsource or settings.name
    return MongoClient(settings.host, settings.port, **options)


def _refused(settings: LaunchpadFile, place: str, code: int | None) -> EngineError:
    if code == 18:  # AuthenticationFailed
        source = settings.authsource or settings.name
        return EngineError(
            f"{settings.address} refuses the user '{settings.username}': wrong password, "
            f"or the user is not in the database '{source}'",
            place=place,
            remedy="correct username, password and authsource (usually: admin)",
        )
    return EngineError(
        f"{settings.address} lets '{settings.username or 'no user'}' not use the database "
        f"'{settings.name}' (code {code})",
        place=place,
        remedy="give username, password and authsource of a user with the role readWrite on it",
    )
