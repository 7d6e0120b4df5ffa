"""Where numba keeps the compiled kernels, and a word to the user before it must compile."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path

_HERE = Path(__file__).parent
_log = logging.getLogger(__name__)


def find_place(package: Path = _HERE) -> None:
    """Name a folder of this process's own where numba would find none, and refuse to import.

    Numba itself takes NUMBA_CACHE_DIR, else the folder beside the code, else the user's cache.
    """
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    if os.environ.get("NUMBA_CACHE_DIR") or any(map(_writable, (package / "__pycache__", user))):
        return
    place = tempfile.mkdtemp(prefix="fw_nnp-numba-")  # private: what is loaded from it is run
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = place


def _writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`, tried as numba does: permissions do not tell all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def announce_compilation() -> None:
    """Say that the first results will take a while, where nothing is compiled yet."""
    from .kernels import moments

    folder = Path(moments.stats.cache_path)
    if not any(folder.glob("kernels.moments-*.nbi")):
        _log.warning(
            "compiling the kernels for this machine takes a minute or two, once; they are kept in "
            "%s (NUMBA_CACHE_DIR names another place)",
            folder,
        )
