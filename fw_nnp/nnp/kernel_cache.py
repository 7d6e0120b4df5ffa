"""Where numba keeps the compiled kernels, and a word to the user before it must compile."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

_HERE = Path(__file__).parent
_log = logging.getLogger(__name__)


@cache
def place(package: Path = _HERE) -> Path:
    """The folder for the kernels whose sources are in `package`.

    In NUMBA_CACHE_DIR, else in the folder beside the code, else in the user's cache, else in one
    of this process's own. It is named after the sources of all kernels: numba looks at the file
    of the one that is called, which calls kernels of other files.
    """
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        base = Path(chosen)
    else:
        base = next(filter(_writable, (package / "__pycache__", user)), None) or _own()
    sources = (path.read_bytes() for path in sorted(package.glob("*.py")))
    kernels = (source for source in sources if b"@serial" in source or b"njit" in source)
    return base / f"fw_nnp-{sha256(b''.join(kernels)).hexdigest()[:12]}"


def _own() -> Path:
    folder = tempfile.mkdtemp(prefix="fw_nnp-numba-")  # private: what is loaded from it is run
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


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
