"""The models that a campaign can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fw_nnp.core.registry import Registry

if TYPE_CHECKING:
    from .potential import Potential

MODELS: Registry[type[Potential]] = Registry(
    "model", {"moments": "fw_nnp.nnp.moments:Moments", "ani": "fw_nnp.nnp.ani:Ani"}
)
