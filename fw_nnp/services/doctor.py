"""What works on this machine and what to do about the rest, as a plain table."""

from __future__ import annotations

import importlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from fw_nnp.core.errors import EngineError, FwNnpError

from . import launchpad, mongod
from .engines import REMEDIES, Programs, find_programs
from .private import readable_by_others

State = Literal["ok", "warn", "fail"]

PACKAGES = ("fireworks", "pymongo", "ase", "pymatgen", "custodian", "torch", "numpy", "vesin")
PSEUDOPOTENTIALS = Path(__file__).parents[1] / "dft" / "pseudo"
_GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row of the table."""

    name: str
    state: State
    """``ok``; ``warn``: works without, or with less; ``fail``: the demo cannot run."""
    found: str
    remedy: str = ""


def checks(directory: Path) -> list[Check]:
    """Look at this machine and at the working directory; nothing is changed.

    Parameters
    ----------
    directory
        Where ``my_launchpad.yaml`` and the private server are looked for.
    """
    programs = find_programs()
    return [
        _python(),
        _packages(),
        _launchpad_file(directory),
        _mongod(directory, programs),
        _server(directory),
        _lammps(programs),
        _potentials(programs),
        _espresso(programs),
        _pseudopotentials(),
        _queue(),
        _gpu(),
        _disk(directory),
    ]


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    return Check(name="Python", state="ok", found=found)


def _packages() -> Check:
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check(
            name="packages",
            state="fail",
            found=f"missing: {', '.join(missing)}",
            remedy="say 'make env', or: pip install -e '.[engines]'",
        )
    return Check(name="packages", state="ok", found=", ".join(versions))


def _launchpad_file(directory: Path) -> Check:
    path = directory / launchpad.FILE
    try:
        settings = launchpad.read(path)
    except FwNnpError as error:
        return _failed("launchpad file", error)
    if launchpad.has_secret(settings) and readable_by_others(path):
        return Check(
            name="launchpad file",
            state="warn",
            found=f"{path.name} holds a password and others can read it",
            remedy=f"chmod 600 {path}",
        )
    found = f"{path.name}: database {settings.name} at {settings.address}"
    return Check(name="launchpad file", state="ok", found=found)


def _mongod(directory: Path, programs: Programs) -> Check:
    server = mongod.status(directory)
    if server is not None:
        found = f"private server runs: pid {server.pid}, port {server.port}"
        return Check(name="mongod", state="ok", found=found)
    return _starts("mongod", lambda: _first_line([*programs.require("mongod"), "--version"]))


def _server(directory: Path) -> Check:
    try:
        pad = launchpad.connect(directory / launchpad.FILE, wait=2.0)
    except FwNnpError as error:
        return _failed("MongoDB server", error)
    hello = pad.connection.admin.command("hello")
    version = pad.connection.server_info()["version"]
    pad.connection.close()
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        return Check(
            name="MongoDB server",
            state="warn",
            found=f"{version}, standalone: a crash can lose acknowledged writes",
            remedy="run it as a replica set of one: mongod --replSet rs0, then rs.initiate()",
        )
    return Check(name="MongoDB server", state="ok", found=f"{version}, answers")


def _lammps(programs: Programs) -> Check:
    return _starts(
        "LAMMPS", lambda: _first_line([*programs.require("lmp"), "-h"], "Massively Parallel")
    )


def _potentials(programs: Programs) -> Check:
    name = "LAMMPS potentials"
    if programs.potentials is None:
        return Check(name=name, state="fail", found="no folder", remedy=REMEDIES["potentials"])
    return Check(name=name, state="ok", found=str(programs.potentials))


def _espresso(programs: Programs) -> Check:
    return _starts(
        "Quantum ESPRESSO",
        lambda: _first_line([*programs.require("pw"), "-i", "/dev/null"], "Program PWSCF"),
    )


def _pseudopotentials() -> Check:
    files = sorted(p.name for p in PSEUDOPOTENTIALS.glob("*") if p.suffix.lower() == ".upf")
    if not files:
        return Check(
            name="pseudopotentials",
            state="fail",
            found=f"none in {PSEUDOPOTENTIALS}",
            remedy="install fw_nnp anew; or name your own folder as pseudo_dir in the campaign",
        )
    return Check(name="pseudopotentials", state="ok", found=f"shipped: {', '.join(files)}")


def _queue() -> Check:
    for program, queue in (("sbatch", "Slurm"), ("qsub", "PBS or SGE"), ("bsub", "LSF")):
        if found := shutil.which(program):
            return Check(name="queue", state="ok", found=f"{queue} ({found})")
    return Check(
        name="queue",
        state="warn",
        found="none: campaigns run on this machine",
        remedy="on a cluster work on a login node, where sbatch is on PATH",
    )


def _gpu() -> Check:
    name = "GPU"
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        return Check(name=name, state="fail", found=str(error), remedy="say 'make env'")
    if torch.cuda.is_available():
        return Check(name=name, state="ok", found=torch.cuda.get_device_name(0))
    return Check(
        name=name,
        state="warn",
        found=f"none for torch {torch.__version__}: training runs on the CPU",
        remedy="on a node with a GPU install a CUDA build of torch",
    )


def _disk(directory: Path) -> Check:
    free = shutil.disk_usage(directory).free
    state: State = "ok" if free > 5 * _GB else "warn" if free > 2 * _GB else "fail"
    remedy = "" if state == "ok" else "free some: a campaign with its database takes 2 to 5 GB"
    return Check(name="disk", state=state, found=f"{free / _GB:.0f} GB free", remedy=remedy)


def _starts(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, state="ok", found=look())
    except FwNnpError as error:
        return _failed(name, error)


def _failed(name: str, error: FwNnpError) -> Check:
    found = f"{error.place}: {error.message}" if error.place else error.message
    return Check(name=name, state="fail", found=found, remedy=error.remedy)


def _first_line(argv: list[str], mark: str = "") -> str:
    """Start a program for a moment and return the first line of its output that has `mark`."""
    with tempfile.TemporaryDirectory() as scratch:  # pw.x leaves a CRASH file
        try:
            done = subprocess.run(
                argv,
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"does not start: {error}", place=argv[0]) from error
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    for line in lines:
        if mark in line:
            return f"{line} ({argv[0]})"
    raise EngineError(
        f"does not start: {lines[-1] if lines else f'exit code {done.returncode}'}",
        place=argv[0],
        remedy="run it by hand; a missing library (error while loading shared libraries) is "
        "in the Debian package of that name, libcurl4 for mongod",
    )
