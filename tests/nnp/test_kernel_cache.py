"""Starting: light, told when it takes long, and possible where nothing can be written."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fw_nnp.nnp.kernels as kernels
from fw_nnp.nnp import kernel_cache


def start(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=own | environment
    )


def test_import_is_light():
    code = "import sys, fw_nnp.nnp; print(sorted({'torch', 'numba', 'scipy'} & set(sys.modules)))"
    assert start(code).stdout.strip() == "[]"


def test_import_works_where_nothing_can_be_written(tmp_path):
    """Neither beside the code nor in the user's cache: a folder that goes with the process."""
    package, home = str(Path(kernels.__file__).parent), tmp_path / "home"
    home.mkdir()
    code = f"""
import os
real = os.access
blocked = {(package, str(home))!r}
os.access = lambda path, mode: real(path, mode) and not str(path).startswith(blocked)
import fw_nnp.nnp
import fw_nnp.nnp.kernels as kernels
print(kernels.moments.stats.cache_path)
place = os.environ["NUMBA_CACHE_DIR"]
print(os.path.isdir(place), os.stat(place).st_mode & 0o77)
"""
    done = start(code, HOME=str(home), XDG_CACHE_HOME=str(home), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    place, existed = done.stdout.split("\n")[:2]
    assert place.startswith(str(tmp_path / "fw_nnp-numba-"))
    assert existed == "True 0"
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
