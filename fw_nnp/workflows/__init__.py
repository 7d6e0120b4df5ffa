"""Which steps, in which order, on which workers.

`campaign_workflow(spec, base=...)` is the Python twin of ``lpad add campaign.yaml``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .submit import campaign_workflow

__all__ = ["campaign_workflow"]


def __getattr__(name: str) -> Any:
    if name != "campaign_workflow":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from .submit import campaign_workflow  # brings FireWorks, which reading a file does not need

    return campaign_workflow
