"""Plan: validate the campaign, register it with its levels of theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Context
from .relabel import labeler_of


def plan(context: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Make the fingerprints of both levels of theory; missing files are found here, not later."""
    low = context.potential(target=True).theory
    if context.spec.sample.translate:
        context.store.add_theory(context.potential(target=False).theory)
    high = labeler_of(context).theory
    for theory in (low, high):
        context.store.add_theory(theory)
    return {"low_theory": low.id, "theory": high.id}
