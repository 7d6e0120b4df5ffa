"""Questions to the labels: a short text, or MongoDB's own filter, to one MongoDB filter.

``Al code=espresso max_force<5 phase=solid,liquid`` reads: labels with aluminium in them, made
by Quantum ESPRESSO, no force of 5 eV/Å or more, solid or liquid. All conditions hold together.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ase.data import atomic_numbers

from fw_nnp.core.errors import SpecError
from fw_nnp.core.registry import did_you_mean

from .schema import FIELDS, Field

Filter = dict[str, Any]


OPERATORS = {"=": "$in", "!=": "$nin", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
FORBIDDEN = ("$where", "$function", "$accumulator", "$expr")

_TERM = re.compile(
    r"""\s*(?P<name>\w+)\s*(?P<operator>!=|<=|>=|=|<|>)\s*"""
    r"""(?P<value>"[^"]*"|'[^']*'|[^\s"'=<>!][^\s"']*)(?=\s|$)"""
    r"""|\s*(?P<word>[^\s=<>!]+)(?=\s|$)"""
)


def parse_query(text: str) -> Filter:
    """The MongoDB filter of a query.

    Parameters
    ----------
    text
        Conditions ``field operator value`` with = != < <= > >=, lists ``a,b`` (any of them)
        after = and !=, bare element symbols; or a MongoDB filter as JSON, if it starts with {.

    Raises
    ------
    SpecError
        Unknown field, value of the wrong type, not a condition, or server-side code.
    """
    if text.lstrip().startswith("{"):
        return _json_filter(text)
    conditions: list[Filter] = []
    position = 0
    while text[position:].strip():
        term = _TERM.match(text, position)
        if term is None:
            raise SpecError(
                f"'{text[position:].strip()}' is no condition",
                place="query",
                remedy="write field=value, with one of = != < <= > >=, or an element symbol",
            )
        conditions.append(_element(term["word"]) if term["word"] else _condition(term))
        position = term.end()
    return together(conditions)


def _element(word: str) -> Filter:
    if word in FIELDS:
        raise SpecError(f"'{word}' has no value", place="query", remedy=f"write {word}=...")
    if word not in atomic_numbers or word == "X":
        raise SpecError(
            f"'{word}' is neither an element nor a condition{did_you_mean(word, [*FIELDS])}",
            place="query",
            remedy="write field=value, for example phase=liquid or elements=Al,Ni",
        )
    return {"elements": word}


def _condition(term: re.Match[str]) -> Filter:
    name, operator, text = term["name"], term["operator"], term["value"]
    if name not in FIELDS:
        raise SpecError(
            f"no field is called '{name}'{did_you_mean(name, [*FIELDS])}",
            place="query",
            remedy=f"fields: {', '.join(FIELDS)}",
        )
    field = FIELDS[name]
    quoted = text[0] in "\"'"
    parts = [text[1:-1]] if quoted else text.split(",")
    if not quoted and "" in parts:
        raise SpecError(f"'{text}' has an empty part", place=f"query, field {name}")
    values = [_value(field, part) for part in parts]
    if operator in ("=", "!="):
        if len(values) == 1:
            return {name: values[0] if operator == "=" else {"$ne": values[0]}}
        return {name: {OPERATORS[operator]: values}}
    if len(values) > 1 or field.of == "text":
        raise SpecError(
            f"'{name} {operator} {text}' compares {'a list' if len(values) > 1 else 'text'}",
            place="query",
            remedy="< <= > >= are for one number or time; use = or != here",
        )
    return {name: {OPERATORS[operator]: values[0]}}


def _value(field: Field, text: str) -> Any:
    """`text` as the type of `field`."""
    if field.of == "text":
        if field.values and text not in field.values:
            raise SpecError(
                f"'{text}' is no {field.name}{did_you_mean(text, list(field.values))}",
                place="query",
                remedy=f"values: {', '.join(value for value in field.values if value)}",
            )
        return text
    try:
        return _READ[field.of](text)
    except ValueError:
        example = {"integer": "32", "number": "0.5", "time": "2026-01-31"}[field.of]
        unit = f" in {field.unit}, without the unit" if field.unit else ""
        raise SpecError(
            f"'{text}' is no {field.of}",
            place=f"query, field {field.name}",
            remedy=f"write it like {example}{unit}",
        ) from None


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) >= 2**63:
        raise ValueError("MongoDB keeps 64 bits")
    return number


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def utc(text: str) -> datetime:
    """An ISO date or time; UTC where it names no zone."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


_READ: Mapping[str, Callable[[str], Any]] = {"integer": _integer, "number": _number, "time": utc}


def together(conditions: list[Filter]) -> Filter:
    """One filter for all `conditions`; flat where each field is named once."""
    names = [name for condition in conditions for name in condition]
    if len(names) == len(set(names)):
        return {name: value for condition in conditions for name, value in condition.items()}
    return {"$and": conditions}


def _json_filter(text: str) -> Filter:
    try:
        parsed = json.loads(text, object_hook=_time_of)
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"not JSON: {error}",
            place="query",
            remedy='a MongoDB filter looks like {"max_force": {"$lt": 5}}',
        ) from None
    for key in _keys(parsed):
        if key in FORBIDDEN:
            raise SpecError(
                f"{key} is refused: it can run code in the server",
                place="query",
                remedy="use comparisons, $and and $or",
            )
    result: Filter = parsed
    return result


def _time_of(value: dict[str, Any]) -> Any:
    """``{"$date": "2026-01-31T12:00:00Z"}`` is a time, as in MongoDB's extended JSON."""
    return utc(str(value["$date"])) if set(value) == {"$date"} else value


def _keys(value: Any) -> Iterable[str]:
    """All keys at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


# ---------------------------------------------------------------- the memory twin's matcher


def understood(filter_: Filter) -> bool:
    """Whether `matches` knows every operator in it."""
    known = {*_TESTS, "$and", "$or", "$exists"}
    return all(key in known for key in _keys(filter_) if key.startswith("$"))


def matches(filter_: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether MongoDB would find `document` with `filter_`, for the operators listed here.

    Top-level fields with equality, ``$eq $size $in $nin $ne $lt $lte $gt $gte $all $exists``,
    joined by ``$and`` and ``$or``; a list matches if one of its elements does, as in MongoDB.

    Raises
    ------
    SpecError
        Another operator, or a dotted path: it is not guessed at.
    """
    return all(_holds(name, wanted, document) for name, wanted in filter_.items())


def _holds(name: str, wanted: Any, document: Mapping[str, Any]) -> bool:
    if name == "$and":
        return all(matches(part, document) for part in wanted)
    if name == "$or":
        return any(matches(part, document) for part in wanted)
    if name.startswith("$") or "." in name:
        raise SpecError(f"the store in memory does not know '{name}'", place="query")
    value = document.get(name)
    if not _is_operators(wanted):
        return _equals(value, wanted)
    if "$exists" in wanted and bool(wanted["$exists"]) != (name in document):
        return False
    return all(_test(key)(value, bound) for key, bound in wanted.items() if key != "$exists")


def _is_operators(wanted: Any) -> bool:
    return isinstance(wanted, Mapping) and any(str(key).startswith("$") for key in wanted)


def _test(operator: str) -> Callable[[Any, Any], bool]:
    if operator not in _TESTS:
        raise SpecError(f"the store in memory does not know '{operator}'", place="query")
    return _TESTS[operator]


def _equals(value: Any, wanted: Any) -> bool:
    """Equal, or a list with an element that is; None matches what is absent."""
    return _same(value, wanted) or (
        isinstance(value, list) and any(_same(element, wanted) for element in value)
    )


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """A comparison of values of one kind; of other kinds nothing is true, as in MongoDB."""

    def test(value: Any, bound: Any) -> bool:
        elements = value if isinstance(value, list) else [value]
        return any(_kind(e) == _kind(bound) != "" and compare(e, bound) for e in elements)

    return test


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    kinds: dict[str, type | tuple[type, ...]]
    kinds = {"number": (int, float), "text": str, "time": datetime}
    return next((name for name, types in kinds.items() if isinstance(value, types)), "")


def _in(value: Any, wanted: Any) -> bool:
    return any(_equals(value, one) for one in wanted)


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": _equals,
    "$size": lambda value, wanted: isinstance(value, list) and len(value) == wanted,
    "$in": _in,
    "$nin": lambda value, wanted: not _in(value, wanted),
    "$ne": lambda value, wanted: not _equals(value, wanted),
    "$all": lambda value, wanted: bool(wanted) and all(_equals(value, one) for one in wanted),
    "$lt": _ordered(lambda value, bound: bool(value < bound)),
    "$lte": _ordered(lambda value, bound: bool(value <= bound)),
    "$gt": _ordered(lambda value, bound: bool(value > bound)),
    "$gte": _ordered(lambda value, bound: bool(value >= bound)),
}
