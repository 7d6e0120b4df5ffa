"""A real Slurm on this machine: one controller, one node, all its state in one directory.

By hand, as root on Debian::

    python tests/slurm/one_node_slurm.py up /tmp/slurm && source /tmp/slurm/env.sh
    sinfo
    python tests/slurm/one_node_slurm.py down /tmp/slurm
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = {"munged": "munge", "slurmctld": "slurm-wlm", "slurmd": "slurm-wlm"}
CONF = """\
ClusterName=fw_nnp_test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
ReturnToService=2
KillWait=5
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def obstacle() -> str:
    """Why there can be no Slurm here, or nothing."""
    if os.geteuid() != 0:
        return "a one-node Slurm needs root"
    if not Path("/etc/debian_version").exists():
        return "a one-node Slurm is made from Debian's packages slurm-wlm and munge"
    if _missing() and os.environ.get("CI") != "true":
        return f"install the Debian packages {' and '.join(_missing())} for the tests with Slurm"
    return ""


def _missing() -> list[str]:
    found = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    return sorted(found)


def install() -> None:
    """Install Debian's packages where they are missing; their services are left switched off."""
    if not _missing():
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update", "-q"], ["install", "-qy", "--no-install-recommends", *_missing()]):
        subprocess.run(["apt-get", *command], env=quiet, check=True, stdout=subprocess.DEVNULL)


def start(place: Path) -> dict[str, str]:
    """Start Slurm with its state in `place`; returns the environment that its commands need."""
    for folder in ("state", "spool"):
        (place / folder).mkdir(parents=True, mode=0o755)
    key = place / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    conf = place / "slurm.conf"
    conf.write_text(
        CONF.format(
            place=place,
            host=socket.gethostname().partition(".")[0],
            ctld_port=_free_port(),
            d_port=_free_port(),
            cpus=os.cpu_count(),
            memory=1000,
        )
    )
    # A stand-in for a GPU, so that `gres: gpu:1` is granted.
    (place / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    env = {"SLURM_CONF": str(conf)}
    (place / "env.sh").write_text(f"export SLURM_CONF={conf}\n")
    munge = [f"--{name}={place}/munge.{name.partition('-')[0]}" for name in ("socket", "key-file")]
    munge += [f"--{name}-file={place}/munge.{name}" for name in ("pid", "log", "seed")]
    try:
        _run(["munged", "--force", *munge], env)
        _run(["slurmctld", "-f", str(conf)], env)
        _run(["slurmd", "-f", str(conf)], env)
        _wait_until_idle(place, env)
    except BaseException:
        stop(place)
        raise
    return env


def stop(place: Path) -> None:
    """Stop what runs in `place`, jobs included."""
    for name in ("slurmd", "slurmctld", "munge"):
        file = place / f"{name}.pid"
        if file.exists():
            _kill(int(file.read_text()))


def _run(argv: list[str], env: dict[str, str]) -> None:
    subprocess.run(argv, env={**os.environ, **env}, check=True, timeout=30)


def _wait_until_idle(place: Path, env: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    state = ""
    while "idle" not in state:
        if time.monotonic() > deadline:
            logs = [file.read_text()[-2000:] for file in place.glob("slurm*.log")]
            raise RuntimeError("\n".join(["the node does not come up", state, *logs]))
        time.sleep(0.5)
        state = subprocess.run(
            ["sinfo", "-h", "-o", "%t"],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
        ).stdout


def _kill(pid: int) -> None:
    deadline = time.monotonic() + 20
    try:
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    word, directory = sys.argv[1], Path(sys.argv[2]).resolve()
    if word == "up":
        install()
        start(directory)
    else:
        stop(directory)
