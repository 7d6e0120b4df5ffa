"""How the kernels are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

# Sums may be reordered; NaN and infinity must stay what they are: divergence is looked for.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
serial: Any = njit(cache=True, fastmath=_FAST, nogil=True)
parallel: Any = njit(cache=True, fastmath=_FAST, nogil=True, parallel=True)
