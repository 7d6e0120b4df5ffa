"""Arrays as binary with shape, so that a store keeps every bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import StoreError


def pack(values: ArrayLike) -> dict[str, Any]:
    """``{"shape": [...], "data": bytes}``; little-endian float64, C order."""
    array = np.ascontiguousarray(values, dtype="<f8")
    return {"shape": list(array.shape), "data": array.tobytes()}


def unpack(packed: Mapping[str, Any]) -> NDArray[np.float64]:
    """The read-only array of :func:`pack`.

    Raises
    ------
    StoreError
        The number of bytes does not fit the shape.
    """
    shape, data = packed["shape"], packed["data"]
    if len(data) != 8 * int(np.prod(shape)):
        raise StoreError(f"{len(data)} bytes cannot be a float64 array of shape {shape}")
    return np.frombuffer(data, dtype="<f8").reshape(shape)
