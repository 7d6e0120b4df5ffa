"""my_launchpad.yaml: what a person wrote stays, secrets are private, errors say what is wrong."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pymongo import MongoClient

from fw_nnp.core.errors import EngineError, SpecError
from fw_nnp.services import launchpad as room
from fw_nnp.services.mongod import Server

TEMPLATE = Path(__file__).parents[2] / "my_launchpad.yaml"


@pytest.fixture
def server(tmp_path) -> Server:
    """What mongod.start returns; nothing listens there."""
    return Server(directory=tmp_path, pid=1, port=1, password="top-secret")


@pytest.fixture
def template(tmp_path) -> Path:
    """The file as a fresh clone has it."""
    path = tmp_path / room.FILE
    committed = subprocess.run(
        ["git", "-C", str(TEMPLATE.parent), "show", f"HEAD:{room.FILE}"], capture_output=True
    )
    path.write_bytes(committed.stdout or TEMPLATE.read_bytes())
    return path


def test_the_committed_template_has_no_secret_and_is_replaced_by_the_private_server(
    template, server
):
    assert room.read(template).password is None
    room.use_server(template.parent, server)
    settings = room.read(template)
    assert (settings.host, settings.port) == ("127.0.0.1", 1)
    assert (settings.username, settings.password) == ("fw_nnp", "top-secret")
    assert settings.authsource == "admin"
    assert stat.S_IMODE(template.stat().st_mode) == 0o600


def test_the_private_server_may_move_and_the_users_database_name_stays(tmp_path, server):
    path = room.use_server(tmp_path, server)
    path.write_text(path.read_text().replace("name: fw_nnp", "name: thesis", 1))
    moved = Server(directory=tmp_path, pid=2, port=2, password="another")
    room.use_server(tmp_path, moved)
    assert (room.read(path).port, room.read(path).name) == (2, "thesis")
    before = path.stat().st_mtime_ns
    room.use_server(tmp_path, moved)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "text",
    [
        "host: db.cluster.example\nport: 27017\n",
        "host: localhost\nport: 27018\n",
        "host: localhost\nusername: me\npassword: mine\nauthsource: admin\n",
        "host: 127.0.0.1\nusername: fw_nnp\npassword: of-docker-compose\nauthsource: admin\n",
        "host: mongodb://me:mine@db/fw\nuri_mode: true\nname: fw\n",
    ],
)
def test_a_file_that_names_the_users_own_server_is_refused_and_untouched(tmp_path, server, text):
    path = tmp_path / room.FILE
    path.write_text(text)
    with pytest.raises(SpecError, match="your own server") as caught:
        room.use_server(tmp_path, server)
    assert "move the file away" in caught.value.remedy
    assert "mine" not in str(caught.value)
    assert path.read_text() == text


def test_a_written_file_that_the_user_pointed_elsewhere_is_refused(tmp_path, server):
    path = room.use_server(tmp_path, server)
    path.write_text(path.read_text().replace("host: 127.0.0.1", "host: db.cluster.example"))
    with pytest.raises(SpecError, match=r"db\.cluster\.example"):
        room.use_server(tmp_path, server)


def test_git_cannot_commit_the_password_by_accident(template, server):
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(template.parent)]
        return subprocess.run(
            [*command, *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    git("add", room.FILE)
    git("commit", "-qm", "template")
    room.use_server(template.parent, server)
    assert "top-secret" in template.read_text()
    git("add", "--all")
    assert git("status", "--porcelain") == ""
    git("commit", "-qam", "everything", "--allow-empty")
    assert "top-secret" not in git("show", f"HEAD:{room.FILE}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hots: localhost\n", "did you mean 'host'"),
        ("port: '27017'\n", "port"),
        ("- host\n", "top level"),
        ("host: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path, text, message):
    path = tmp_path / room.FILE
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        room.read(path)
    assert str(path) in caught.value.place


def test_a_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(SpecError, match="no such file") as caught:
        room.read(tmp_path / room.FILE)
    assert "fw-nnp mongod start" in caught.value.remedy


def test_a_password_that_others_can_read_is_warned_about(tmp_path, server, caplog):
    path = room.use_server(tmp_path, server)
    room.read(path)
    assert not caplog.records
    path.chmod(0o644)
    room.read(path)
    assert "chmod 600" in caplog.text
    assert "top-secret" not in caplog.text


def test_a_server_that_is_down_is_said_to_be_down(tmp_path, server):
    path = room.use_server(tmp_path, server)  # port 1: nobody listens
    with pytest.raises(EngineError, match=r"no MongoDB server answers at 127\.0\.0\.1:1") as caught:
        room.connect(path, wait=0.3)
    assert "fw-nnp mongod start" in caught.value.remedy


@pytest.mark.engines
@pytest.mark.parametrize(
    "change",
    [{"password": "wrong"}, {"username": "nobody"}, {"authsource": None}],
)
def test_a_wrong_user_or_password_is_said_to_be_wrong(launchpad_file, change):
    room.write(launchpad_file, room.read(launchpad_file).model_copy(update=change))
    with pytest.raises(EngineError, match="wrong password, or the user is not in") as caught:
        room.connect(launchpad_file)
    assert "authsource" in caught.value.remedy


@pytest.mark.engines
def test_no_user_at_all_is_said_to_be_missing(launchpad_file):
    nobody = {"username": None, "password": None, "authsource": None}
    room.write(launchpad_file, room.read(launchpad_file).model_copy(update=nobody))
    with pytest.raises(EngineError, match="no user") as caught:
        room.connect(launchpad_file)
    assert "give username, password" in caught.value.remedy


@pytest.mark.engines
def test_a_connection_string_serves_as_well(launchpad_file):
    plain = room.read(launchpad_file)
    uri = f"mongodb://{plain.username}:{plain.password}@{plain.host}:{plain.port}/?authSource=admin"
    path = launchpad_file.with_name("uri.yaml")
    path.write_text(yaml.safe_dump({"host": uri, "uri_mode": True, "name": plain.name}))
    pad = room.connect(path)
    assert pad.db.name == plain.name
    assert plain.password not in room.read(path).address
    pad.connection.close()


@pytest.mark.engines
def test_preparing_twice_keeps_the_numbers(launchpad):
    taken = launchpad.get_new_fw_id(quantity=5)
    room.prepare(launchpad)
    assert launchpad.get_new_fw_id() == taken + 5


@pytest.mark.engines
def test_stock_lpad_rlaunch_and_pymongo_work_with_the_file(launchpad, launchpad_file):
    """In the directory of the file, as the README says it."""
    here = launchpad_file.parent
    workflow = {
        "fws": [{"fw_id": 1, "spec": {"_tasks": [{"_fw_name": "ScriptTask", "script": "true"}]}}],
        "links": {},
        "metadata": {},
    }
    (here / "wf.yaml").write_text(yaml.safe_dump(workflow))
    scripts = Path(sys.executable).parent

    def say(*argv: str) -> str:
        command = [str(scripts / argv[0]), *argv[1:]]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    say("lpad", "add", "wf.yaml")
    say("rlaunch", "-s", "singleshot")
    assert '"state": "COMPLETED"' in say("lpad", "get_wflows")

    file = yaml.safe_load(launchpad_file.read_text())
    with MongoClient(
        file["host"], file["port"], username=file["username"], password=file["password"]
    ) as plain:
        assert plain[file["name"]].fireworks.count_documents({"state": "COMPLETED"}) == 1
