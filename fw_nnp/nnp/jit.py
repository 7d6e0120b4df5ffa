"""How the kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from .kernel_cache import place

_config: Any = numba.config


def serial(function: Callable[..., Any]) -> Any:
    """`function`, compiled when it is first called and kept for later processes."""
    elsewhere = _config.CACHE_DIR
    _config.CACHE_DIR = str(place())
    try:
        # Sums may be reordered; NaN and infinity must stay what they are: divergence is looked for.
        # Division is the processor's: Python's, with its error, keeps a loop from becoming vectors.
        # What is called is inlined: of two compiled copies of a function, which round differently,
        # the one that was loaded first would be called, and that depends on what a process did
        # before. Threads are for `compiled.in_parts`: numba's own have two such copies of a loop.
        return numba.njit(
            cache=True,
            error_model="numpy",
            fastmath={"reassoc", "contract", "arcp", "nsz"},
            forceinline=True,
            nogil=True,
        )(function)
    finally:
        _config.CACHE_DIR = elsewhere
