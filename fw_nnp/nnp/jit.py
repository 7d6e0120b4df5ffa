"""How the kernels are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

# Sums may be reordered; NaN and infinity must stay what they are: divergence is looked for.
# Division is the processor's: Python's, with its error, keeps a loop from becoming vectors.
# What is called is inlined: of two compiled copies of a function, which round differently, the
# one that was loaded first would be called, and that depends on what a process did before.
# Threads are for `compiled.in_parts`: numba's own have two such copies of every loop.
serial: Any = njit(
    cache=True,
    error_model="numpy",
    fastmath={"reassoc", "contract", "arcp", "nsz"},
    forceinline=True,
    nogil=True,
)
