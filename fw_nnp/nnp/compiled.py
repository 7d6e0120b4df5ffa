"""Where the compiled kernels serve, and on how many threads they run."""

from __future__ import annotations

import numba
import torch
from torch import Tensor

_MOST_THREADS = numba.get_num_threads()  # NUMBA_NUM_THREADS, or the cores of this machine


def compiled(tensor: Tensor) -> bool:
    """Whether the kernels take `tensor`; if not, their plain torch twins do."""
    return tensor.device.type == "cpu" and not torch.compiler.is_exporting()


def use_threads() -> None:
    """Have the next kernel run on as many threads as torch."""
    numba.set_num_threads(min(torch.get_num_threads(), _MOST_THREADS))
