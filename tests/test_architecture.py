"""The walls of the house: who may import whom, how large a file is, what a light import loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fw_nnp"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400

# From the ground up; a file imports from lower floors and from its own room only.
FLOORS = (
    ("core",),
    ("potentials",),
    ("store", "sampling", "dft", "nnp", "properties", "exchange"),
    ("report", "services"),
    ("workflows",),
    ("firetasks",),
    ("cli",),
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
# The contract checks for plug-ins stand outside the house and may look at every room.
OUTSIDE = ("testing", "__init__")
HEAVY = ("torch", "pymongo", "pymatgen")


def room_of(path: Path, package: Path) -> str:
    """``fw_nnp/store/query.py`` -> ``store``; ``fw_nnp/__main__.py`` -> ``__main__``."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported_rooms(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """(line, room) of every import from our own package, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in _imported(node, path, package):
            parts = name.split(".")
            if parts[0] == "fw_nnp" and len(parts) > 1:
                yield node.lineno, parts[1]


def _imported(node: ast.AST, path: Path, package: Path) -> list[str]:
    """Absolute dotted names that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        folder = ["fw_nnp", *path.relative_to(package).parts[:-1]]
        base = ".".join([*folder[: len(folder) - node.level + 1], *base.split(".")]).rstrip(".")
    return [f"{base}.{alias.name}" for alias in node.names]


def wrong_imports(path: Path, package: Path) -> list[str]:
    """Imports that look up or sideways."""
    own = room_of(path, package)
    if own in OUTSIDE:
        return []
    if own not in FLOOR:
        return [f"{path}: the room '{own}' has no floor; give it one in FLOORS"]
    return [
        f"{path}:{line}: {own} imports {room}"
        for line, room in imported_rooms(path, package)
        if room not in (own, "__version__") and FLOOR.get(room, len(FLOORS)) >= FLOOR[own]
    ]


def silent_excepts(source: str) -> list[int]:
    """Lines of handlers that catch everything without a name, or swallow what they catch."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or all(isinstance(part, ast.Pass) for part in node.body))
    ]


def loaded_by(statement: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after `statement`."""
    code = f"import sys; {statement}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module(path):
    source = path.read_text(encoding="utf-8")
    assert wrong_imports(path, PACKAGE) == []
    assert silent_excepts(source) == []
    assert len(source.splitlines()) <= MAX_LINES
    if (source.strip() and not path.name.startswith("_")) or path == PACKAGE / "__init__.py":
        assert ast.get_docstring(ast.parse(source)), "a module says what it is for"


@pytest.mark.parametrize(
    "statement",
    [
        "import fw_nnp",
        "import fw_nnp.core.specs",
        "import fw_nnp.core.reference",
        "import fw_nnp.exchange",
        "import fw_nnp.store.query",
    ],
)
def test_light_imports(statement):
    """A login node validates and submits without torch, pymongo or pymatgen."""
    assert loaded_by(statement) == set()


# ---------------------------------------------------------------- the guards fire


@pytest.mark.parametrize(
    ("place", "line", "wrong"),
    [
        ("core/bad.py", "from fw_nnp.store.query import FIELDS", True),
        ("core/bad.py", "import fw_nnp.nnp.trainer", True),
        ("store/bad.py", "from ..nnp import trainer", True),
        ("store/deep/bad.py", "from ...nnp import trainer", True),
        ("store/bad.py", "from fw_nnp import dft", True),
        ("store/bad.py", "from .. import dft", True),
        ("dft/bad.py", "def f():\n    from fw_nnp.cli.main import app", True),
        ("potentials/bad.py", "from fw_nnp.sampling import phases", True),
        ("report/bad.py", "from fw_nnp.services import mongod", True),
        ("attic/bad.py", "import json", True),
        ("store/good.py", "from fw_nnp.core.errors import SpecError", False),
        ("store/good.py", "from .query import FIELDS\nfrom . import base", False),
        ("store/good.py", "from fw_nnp import __version__", False),
        ("sampling/good.py", "from fw_nnp.potentials.lammps import label", False),
        ("cli/good.py", "from fw_nnp.workflows import submit", False),
    ],
)
def test_the_import_guard_fires(place, line, wrong, tmp_path):
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert bool(wrong_imports(path, tmp_path)) == wrong


@pytest.mark.parametrize(
    ("handler", "wrong"),
    [
        ("except:\n    raise", True),
        ("except ValueError:\n    pass", True),
        ("except Exception:\n    pass", True),
        ("except ValueError as error:\n    raise KeyError from error", False),
    ],
)
def test_the_except_guard_fires(handler, wrong):
    assert bool(silent_excepts(f"try:\n    f()\n{handler}\n")) == wrong


def test_the_light_import_guard_fires():
    assert loaded_by("import pymongo") == {"pymongo"}
