"""Where the compiled kernels serve, and on how many threads they run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import torch
from torch import Tensor

_plain = ContextVar("_plain", default=False)
_CORES = numba.get_num_threads()  # NUMBA_NUM_THREADS, or the cores of this machine


def compiled(tensor: Tensor) -> bool:
    """Whether the kernels take `tensor`; if not, their plain torch twins do."""
    plain = _plain.get() or torch.compiler.is_exporting()
    return tensor.device.type == "cpu" and not plain


@contextmanager
def plain_torch() -> Iterator[None]:
    """Leave the kernels out, so that every layer is called as a module of its own."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def in_parts(kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """Have ``kernel(first, last, *arguments)`` do `count` things on as many threads as torch.

    What comes out must not depend on the parts.
    """
    n = min(torch.get_num_threads(), _CORES, count)
    if n <= 1:
        kernel(0, count, *arguments)
        return
    ends = [count * part // n for part in range(n + 1)]
    others = [_pool().submit(kernel, a, b, *arguments) for a, b in pairwise(ends[1:])]
    kernel(0, ends[1], *arguments)
    for other in others:
        other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _CORES - 1), thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads stay behind in the parent
