"""docker-compose.yml, launchers, Makefile: files that no Python imports, held to promises."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fw_nnp.services.launchpad import LaunchpadFile

TOP = Path(__file__).parents[2]
FIREWORKS = sorted((TOP / "launchers").glob("*/*_fworker.yaml"))
CONFIGS = sorted((TOP / "launchers").glob("*/FW_config.yaml"))
ADAPTERS = sorted((TOP / "launchers").glob("*/*_qadapter.yaml"))


@pytest.fixture(scope="module")
def mongo() -> dict:
    """The one service of docker-compose.yml."""
    return yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]["mongo"]


def test_compose_is_a_replica_set_with_a_password(mongo):
    assert mongo["command"][:3] == ["mongod", "--replSet", "rs0"]
    assert "--keyFile" in mongo["command"]
    assert "rs.initiate" in mongo["healthcheck"]["test"][1]


def test_compose_has_no_secret_and_refuses_to_start_without_one(mongo):
    password = mongo["environment"]["MONGO_INITDB_ROOT_PASSWORD"]
    assert password.startswith("${MONGO_PASSWORD:?")
    ignored = (TOP / ".gitignore").read_text().split()
    assert ".env" in ignored


def test_compose_listens_on_loopback_only(mongo):
    assert mongo["ports"] == ["127.0.0.1:27017:27017"]


def test_compose_keeps_data_and_key_in_volumes(mongo):
    mounts = dict(volume.split(":") for volume in mongo["volumes"])
    volumes = yaml.safe_load((TOP / "docker-compose.yml").read_text())["volumes"]
    assert set(mounts) == set(volumes)
    assert set(mounts.values()) == {"/data/db", "/data/configdb"}


def test_the_template_and_compose_speak_of_one_server(mongo):
    port = mongo["ports"][0].split(":")[1]
    assert str(LaunchpadFile().port) == port


@pytest.mark.parametrize("path", FIREWORKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_worker_names_its_categories(path):
    """An empty category would take everything, trainings on CPU nodes included."""
    worker = yaml.safe_load(path.read_text())
    assert worker["category"] == (["md", "dft"] if path.stem.startswith("cpu") else ["gpu"])
    assert json.loads(worker["query"]) == {}
    assert set(worker["env"]) <= {"cores", "lmp_cmd", "pw_cmd", "scratch", "results"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_ping_and_expiration_are_set_together_and_fireworks_knows_every_key(path):
    from fireworks import fw_config

    config = yaml.safe_load(path.read_text())
    assert config["RUN_EXPIRATION_SECS"] >= 4 * config["PING_TIME_SECS"]
    assert all(hasattr(fw_config, key) for key in config)


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_every_key_of_a_queue_file_reaches_the_job_script(path):
    """FireWorks drops unknown keys silently."""
    from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter

    settings = yaml.safe_load(path.read_text())
    script = CommonAdapter.from_dict(settings).get_script_str("launch")
    for key, value in settings.items():
        if not key.startswith("_fw_") and value is not None:
            assert str(value) in script, key
    assert "$${" not in script
    assert "None" not in script
    assert "\nexec " in script  # or the signal before the end would not reach rlaunch


def test_pilots_stop_beginning_work_before_their_time_is_over():
    settings = yaml.safe_load((TOP / "launchers/slurm/my_qadapter.yaml").read_text())
    hours, minutes, seconds = map(int, settings["walltime"].split(":"))
    timeout = int(re.search(r"--timeout (\d+)", settings["rocket_launch"])[1])
    assert timeout < hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    "script", ["launchers/local/start.sh", "launchers/slurm/env.sh", ".ci/run"]
)
def test_shell_scripts_parse(script):
    done = subprocess.run(["bash", "-n", str(TOP / script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
def test_threads_that_wait_do_not_spin_unless_told_to(chosen):
    told = {} if chosen is None else {"OMP_WAIT_POLICY": chosen}
    done = subprocess.run(
        ["bash", "-c", f"source {TOP}/launchers/slurm/env.sh && printenv OMP_WAIT_POLICY"],
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == (chosen or "PASSIVE")
    assert "export OMP_WAIT_POLICY" in (TOP / "launchers/local/start.sh").read_text()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_without_a_word_prints_its_list_and_installs_nothing():
    done = subprocess.run(["make", "-C", str(TOP)], capture_output=True, text=True, check=True)
    for word in ("demo", "test", "env", "slow", "clean"):
        assert f"make {word}" in done.stdout
