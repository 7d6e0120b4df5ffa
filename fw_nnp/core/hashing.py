"""Content identity: canonical JSON and canonical numbers, then sha256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

DECIMALS = 8


def canonical_array(values: ArrayLike) -> NDArray[np.float64]:
    """Round to 8 decimals and clean signed zeros, so that equal numbers hash equally."""
    rounded: NDArray[np.float64] = np.asarray(values, dtype=np.float64).round(DECIMALS)
    return rounded + 0.0  # -0.0 -> 0.0


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; refuses NaN and anything that is not plain JSON."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def digest(*parts: bytes | str) -> str:
    """sha256 (hex) over length-prefixed parts, so that no two lists of parts collide."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def content_id(prefix: str, value: Mapping[str, Any] | list[Any] | str) -> str:
    """Return ``prefix-`` and 32 hex digits of the sha256 of `value` as canonical JSON."""
    return f"{prefix}-{digest(canonical_json(value))[:32]}"
