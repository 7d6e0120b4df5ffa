"""Starting: light, told when it takes long, and possible where nothing can be written."""

from __future__ import annotations

import ast
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
from fw_nnp.nnp.kernel_cache import place
print(kernels.moments.stats.cache_path)
print(os.stat(place().parent).st_mode & 0o77)
"""
    home = str(tmp_path / "home")
    environment = {"HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": str(tmp_path)}
    done = start(code, package.parent, **environment)
    assert done.returncode == 0, done.stderr
    place, others = done.stdout.split()
    assert place.startswith(str(tmp_path / "fw_nnp-numba-"))
    assert others == "0"
    assert not list(tmp_path.glob("fw_nnp-numba-*"))


def test_what_the_user_chose_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert kernel_cache.place.__wrapped__().parent == tmp_path / "chosen"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert kernel_cache.place.__wrapped__(tmp_path).parent == tmp_path / "__pycache__"
    assert "NUMBA_CACHE_DIR" not in os.environ
    assert kernels.moments.stats.cache_path.startswith(str(kernel_cache.place()))


def test_kernels_are_compiled_again_when_one_that_they_call_has_changed(tmp_path):
    """Numba would compare the file of the caller only, and run the old code."""
    package = shutil.copytree(Path(kernel_cache.__file__).parent, tmp_path / "nnp")
    before = kernel_cache.place.__wrapped__(package)
    with (package / "matrix_kernels.py").open("a") as file:
        file.write("# changed\n")
    assert kernel_cache.place.__wrapped__(package) != before
    again = kernel_cache.place.__wrapped__(package)
    with (package / "loss.py").open("a") as file:
        file.write("# no kernel\n")
    assert kernel_cache.place.__wrapped__(package) == again


BITS = """
import hashlib, sys
import numpy as np
import torch
from fw_nnp.core.records import Configuration
from fw_nnp.core.specs import ModelSpec
from fw_nnp.nnp.artefact import build
from fw_nnp.nnp.data import read_configuration
torch.set_num_threads(int(sys.argv[1]))
model = build(ModelSpec(cutoff=4.5, n_basis=6, n_radial=4, l_max=3, hidden=[12, 8]), ["Al"], 3)
places = 9.0 * np.random.default_rng(1).random((40, 3))
cell = Configuration(cell=9.0 * np.eye(3), positions=places, numbers=[13] * 40)
batch = read_configuration(model, cell, torch.float32)[0]
found = [*model.evaluate(batch)]
found += torch.autograd.grad(found[1].square().sum() + found[2].sum(), [*model.parameters()])
print(hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in found)).hexdigest())
"""


@pytest.mark.slow
def test_compiled_now_or_before_on_one_thread_or_two_are_the_same_bits(tmp_path):
    def bits(threads: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", BITS, threads],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    now, before, apart = bits("1"), bits("1"), bits("2")
    assert list(tmp_path.rglob("kernels.moments-*.nbi"))
    assert now == before == apart


@pytest.mark.parametrize("compiled", [True, False])
def test_compilation_is_announced_once(monkeypatch, tmp_path, caplog, compiled):
    if compiled:
        (tmp_path / "kernels.moments-1.py311.nbi").touch()
    stats = kernels.moments.stats._replace(cache_path=str(tmp_path))
    monkeypatch.setattr(type(kernels.moments), "stats", property(lambda self: stats))
    with caplog.at_level(logging.WARNING):
        kernel_cache.announce_compilation()
    assert ("compiling the kernels" in caplog.text) == (not compiled)


def test_what_kernels_are_made_of_is_in_the_sources_they_are_kept_by():
    """A number from another file would stay in the compiled kernel when that file changes."""
    folder = Path(kernels.__file__).parent
    sources = {path.stem: path.read_text() for path in folder.glob("*kernels.py")}
    known = {name for name, source in sources.items() if "@serial" in source}
    assert len(known) > 5
    for name in known:
        nodes = ast.walk(ast.parse(sources[name]))
        near = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.level == 1}
        assert near <= known | {"jit"}, name
