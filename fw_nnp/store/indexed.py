"""The same question in other fields, so that a count looks at index keys and at no label.

Fields of `schema.INDEXED_TOGETHER` share an index. ``elements`` and ``code`` are asked as
``system`` and ``theory``, and a field that nobody asked for, but that comes before another in the
index, as any of the values that it has in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from .query import Filter, matches, together, understood
from .schema import INDEXED_TOGETHER

MOST_RANGES = 1_000  # of the index in one question; beyond, MongoDB looks at the labels themselves


def indexed(
    filter_: Mapping[str, Any],
    values: Callable[[str], Sequence[str]],
    codes: Callable[[], Mapping[str, str]],
) -> Filter:
    """The same question in fields that are indexed together.

    Parameters
    ----------
    values
        All values of a text field of the labels.
    codes
        Id -> code of all levels of theory.
    """
    parts = [{name: value} for name, value in filter_.items() if name != "$and"]
    parts += [dict(part) for part in filter_.get("$and", [])]
    known: dict[str, tuple[str, Callable[[], Mapping[str, Any]]]] = {
        "elements": ("system", lambda: {name: name.split("-") for name in values("system")}),
        "code": ("theory", codes),
    }
    for field, (instead, look_up) in known.items():
        mine = [part for part in parts if set(part) == {field}]
        if not mine or not understood({"$and": mine}):
            continue
        found = look_up()
        if 0 < len(found) <= MOST_RANGES:
            chosen = sorted(k for k, v in found.items() if matches({"$and": mine}, {field: v}))
            parts = [part for part in parts if set(part) != {field}]
            parts.append({instead: _any(chosen)})
    return together(parts + _further(parts, values))


def counted_by(filter_: Filter) -> tuple[str, ...]:
    """The index that holds all that a filter made by `indexed` asks for; empty: there is none.

    MongoDB's planner compares plans by their first answers, where looking at labels costs little.
    """
    asked = _asked(filter_.get("$and", [filter_]))
    campaign = asked.get("campaign")
    if not asked or (isinstance(campaign, Mapping) and campaign.keys() & {"$ne", "$nin"}):
        return ()
    index = ("campaign", *INDEXED_TOGETHER) if "campaign" in asked else INDEXED_TOGETHER
    return index if {*index[: len(asked)]} == asked.keys() else ()


def _asked(parts: Sequence[Filter]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def _further(parts: Sequence[Filter], values: Callable[[str], Sequence[str]]) -> list[Filter]:
    """What holds for every label, in the fields that stand before others in the index."""
    asked = _asked(parts)
    if len(asked) < 2 or not asked.keys() <= {"campaign", *INDEXED_TOGETHER}:
        return []
    last = max(INDEXED_TOGETHER.index(name) for name in asked if name != "campaign")
    further = {name: sorted(values(name)) for name in INDEXED_TOGETHER[:last] if name not in asked}
    ranges = prod(map(len, further.values())) * prod(map(_length, asked.values()))
    return [{name: _any(all_)} for name, all_ in further.items()] if ranges <= MOST_RANGES else []


def _length(condition: Any) -> int:
    """How many values a condition names."""
    return len(condition.get("$in", "1")) if isinstance(condition, Mapping) else 1


def _any(values: Sequence[str]) -> Any:
    return values[0] if len(values) == 1 else {"$in": list(values)}
