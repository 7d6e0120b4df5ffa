"""Fixtures for the real engines: a test that needs an absent one is skipped, and fails in CI."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fw_nnp.core.errors import EngineError
from fw_nnp.services import mongod
from fw_nnp.services.engines import Programs, find_programs
from fw_nnp.services.launchpad import LaunchpadFile, connect, prepare, read, use_server, write


def absent(message: str) -> None:
    """Skip the test on a user's machine; fail it in CI, where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def programs() -> Programs:
    """The programs of this machine."""
    return find_programs()


def _require(programs: Programs, name: str) -> list[str]:
    try:
        return programs.require(name)
    except EngineError as error:
        absent(str(error))
        raise


@pytest.fixture(scope="session")
def lmp(programs: Programs) -> list[str]:
    """argv of LAMMPS."""
    return _require(programs, "lmp")


@pytest.fixture(scope="session")
def pw(programs: Programs) -> list[str]:
    """argv of pw.x."""
    return _require(programs, "pw")


@pytest.fixture(scope="session")
def mongod_program(programs: Programs) -> list[str]:
    """argv of mongod."""
    return _require(programs, "mongod")


@pytest.fixture(scope="session")
def mongod_server(mongod_program: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """Launchpad file of a private server that lives for the session."""
    directory = tmp_path_factory.mktemp("mongod")
    yield use_server(directory, mongod.start(directory))
    mongod.stop(directory)
    shutil.rmtree(mongod.home(directory))


@pytest.fixture
def launchpad_file(mongod_server: Path, tmp_path: Path) -> Path:
    """A launchpad file in `tmp_path` that names an empty database of its own."""
    settings: LaunchpadFile = read(mongod_server)
    path = tmp_path / mongod_server.name
    write(path, settings.model_copy(update={"name": f"test_{secrets.token_hex(4)}"}))
    return path


@pytest.fixture
def launchpad(launchpad_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """FireWorks' LaunchPad on an empty database of its own, dropped afterwards."""
    from fireworks.utilities import fw_serializers

    # Else FireWorks looks for these in all its modules, among them tests with marks unknown here.
    for task in ("PyTask", "ScriptTask"):
        place = "fireworks.user_objects.firetasks.script_task"
        monkeypatch.setitem(fw_serializers.SAVED_FW_MODULES, task, place)
    pad = connect(launchpad_file)
    prepare(pad)
    yield pad
    pad.connection.drop_database(pad.name)
    pad.connection.close()
