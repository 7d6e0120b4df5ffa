"""Where the compiled kernels serve, and on how many threads they run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from itertools import count, pairwise
from typing import Any, TypeVar

import numba
import torch
from torch import Tensor

Item = TypeVar("Item")
Result = TypeVar("Result")

LEAST_ATOMS = 128
"""Of a part: to wake a thread takes as long as the work on some dozens of atoms."""

_plain = ContextVar("_plain", default=False)
_alone = ContextVar("_alone", default=False)  # on a thread of its own: kernels are not divided
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


def in_parts(
    kernel: Callable[..., None], n_things: int, *arguments: Any, atoms_each: int = 1
) -> None:
    """Have ``kernel(first, last, *arguments)`` do `n_things` on as many threads as torch.

    A thing is the work on so many atoms. What comes out must not depend on the parts.
    """
    n = threads_for(n_things * atoms_each)
    if n == 1:
        kernel(0, n_things, *arguments)
        return
    ends = [n_things * part // n for part in range(n + 1)]
    others = [_pool().submit(kernel, a, b, *arguments) for a, b in pairwise(ends[1:])]
    kernel(0, ends[1], *arguments)
    for other in others:
        other.result()


def threads_for(n_atoms: int) -> int:
    """How many threads work on so many atoms is worth."""
    return max(1, _threads(n_atoms // LEAST_ATOMS))


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`work` of every item, in order, on as many threads as torch, one for each item.

    Neighbour lists and small operations go by in parallel too, which `in_parts` cannot do.
    """
    numbers = count()
    results: dict[int, Result] = {}
    failures: list[BaseException] = []

    def some() -> None:
        _alone.set(True)
        while not failures and (i := next(numbers)) < len(items):
            try:
                results[i] = work(items[i])
            except BaseException as failure:  # an interrupt too ends the others
                failures.append(failure)

    others = [_pool().submit(copy_context().run, some) for _ in range(_threads(len(items)) - 1)]
    copy_context().run(some)
    for other in others:
        other.result()
    if failures:
        raise failures[0]
    return [results[i] for i in range(len(items))]


def _threads(most: int) -> int:
    return 1 if _alone.get() else min(torch.get_num_threads(), _CORES, most)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _CORES - 1), thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads stay behind in the parent
