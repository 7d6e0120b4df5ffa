"""A one-node Slurm for the session, and the launchers filled in for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import one_node_slurm
import pytest
import yaml

LAUNCHERS = Path(__file__).parents[2] / "launchers"


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment variables (SLURM_CONF) of a running one-node Slurm with one stand-in GPU."""
    if reason := one_node_slurm.obstacle():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    one_node_slurm.install()
    place = tmp_path_factory.mktemp("slurm")
    env = one_node_slurm.start(place)
    yield env
    subprocess.run(["scancel", "--full", "--user", "root"], env={**os.environ, **env}, check=False)
    one_node_slurm.stop(place)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A user's directory on the cluster: my_launchpad.yaml and launchers/ in it."""

    home: Path
    env: dict[str, str]

    def say(self, *argv: str, timeout: float = 300.0) -> str:
        """Run a command of the Python environment or of Slurm there; its output."""
        beside = Path(sys.executable).parent / argv[0]
        program = str(beside) if beside.exists() else argv[0]
        done = subprocess.run(
            [program, *argv[1:]],
            cwd=self.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def logs(self) -> str:
        """What the jobs printed."""
        files = sorted(self.home.rglob("*.error")) + sorted(self.home.rglob("*.out"))
        return "\n".join(f"--- {file.name}\n{file.read_text()}" for file in files)


@pytest.fixture
def cluster(slurm: dict[str, str], launchpad_file: Path, launchpad) -> Cluster:
    """launchers/slurm as a user would set it up for this Slurm, beside a launchpad file.

    What a user edits is edited here: cores (as many as the machine has) and the environment.
    """
    home = launchpad_file.parent
    shutil.copytree(LAUNCHERS, home / "launchers")
    cores = os.cpu_count() or 1
    for file in (home / "launchers/slurm").glob("*_qadapter.yaml"):
        settings = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump({**settings, "cpus_per_task": cores}))
    for file in (home / "launchers/slurm").glob("*_fworker.yaml"):
        settings = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump({**settings, "env": {"cores": cores}}))
    sourced = subprocess.run(
        ["bash", "-c", "source launchers/slurm/env.sh && env -0"],
        cwd=home,
        env={**os.environ, **slurm, "FW_NNP_ENV": sys.prefix},
        capture_output=True,
        text=True,
        check=True,
    )
    variables = dict(line.split("=", 1) for line in sourced.stdout.split("\0") if "=" in line)
    return Cluster(home=home, env=variables)
