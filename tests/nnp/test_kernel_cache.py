"""Starting: light, told when it takes long, and possible where nothing can be written."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fw_nnp
import fw_nnp.nnp.kernels as kernels
from fw_nnp.nnp import kernel_cache

ROOT = Path(fw_nnp.__file__).parents[1]


def start(code: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, env=own | environment
    )


def test_import_is_light():
    code = "import sys, fw_nnp.nnp; print(sorted({'torch', 'numba', 'scipy'} & set(sys.modules)))"
    assert start(code).stdout.strip() == "[]"


def test_import_works_where_nothing_can_be_written(tmp_path):
    """Neither beside the code nor in the user's cache: a folder that goes with the process."""
    package = tmp_path / "site" / "fw_nnp"
    shutil.copytree(
        Path(fw_nnp.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    (package / "nnp" / "__pycache__").touch()  # a file where a folder must be made
    (tmp_path / "home").touch()
    code = """
import os, fw_nnp.nnp.kernels as kernels
print(kernels.moments.stats.cache_path)
print(os.stat(os.environ["NUMBA_CACHE_DIR"]).st_mode & 0o77)
"""
    home = str(tmp_path / "home")
    environment = {"HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": str(tmp_path)}
    done = start(code, package.parent, **environment)
    assert done.returncode == 0, done.stderr
    place, others = done.stdout.split()
    assert place.startswith(str(tmp_path / "fw_nnp-numba-"))
    assert others == "0"
    assert not list(tmp_path.glob("fw_nnp-numba-*"))


def test_what_the_user_or_numba_chose_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kernel_cache.find_place(Path("/proc/none"))
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    kernel_cache.find_place(tmp_path)
    assert "NUMBA_CACHE_DIR" not in os.environ


@pytest.mark.parametrize("compiled", [True, False])
def test_compilation_is_announced_once(monkeypatch, tmp_path, caplog, compiled):
    if compiled:
        (tmp_path / "kernels.moments-1.py311.nbi").touch()
    stats = kernels.moments.stats._replace(cache_path=str(tmp_path))
    monkeypatch.setattr(type(kernels.moments), "stats", property(lambda self: stats))
    with caplog.at_level(logging.WARNING):
        kernel_cache.announce_compilation()
    assert ("compiling the kernels" in caplog.text) == (not compiled)
