"""The neural network potential: train a stage, predict, use it in ASE.

Names are imported when first asked for: `import fw_nnp.nnp` alone loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calculator import load_calculator
    from .models import MODELS
    from .prediction import predict, predict_members
    from .progress import Progress, StageResult
    from .trainer import train_stage

__all__ = [
    "MODELS",
    "Progress",
    "StageResult",
    "load_calculator",
    "predict",
    "predict_members",
    "train_stage",
]

_HOMES = {
    "MODELS": "models",
    "Progress": "progress",
    "StageResult": "progress",
    "load_calculator": "calculator",
    "predict": "prediction",
    "predict_members": "prediction",
    "train_stage": "trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
