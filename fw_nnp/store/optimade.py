"""OPTIMADE's filter language as a second syntax: ``elements HAS "Al" AND _fwnnp_max_force < 5``.

The grammar and its translation to MongoDB are those of the optional package ``optimade``.
Standard properties become our fields; any field of a label is ``_fwnnp_FIELD``.
"""

from __future__ import annotations

import warnings
from typing import Any

from fw_nnp.core.errors import SpecError
from fw_nnp.core.registry import did_you_mean

from .query import Filter, utc
from .schema import FIELDS

PREFIX = "_fwnnp_"
STANDARD = {
    "id": "_id",
    "elements": "elements",
    "nsites": "n_atoms",
    "chemical_formula_hill": "formula",
}


def parse_optimade(text: str) -> Filter:
    """The MongoDB filter of an OPTIMADE filter.

    Raises
    ------
    SpecError
        The package is not installed, the text is not in the grammar, or a property is unknown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from optimade.exceptions import BadRequest
            from optimade.filterparser import LarkParser
            from optimade.filtertransformers.mongo import MongoTransformer
    except ImportError:
        raise SpecError(
            "OPTIMADE filters need the package optimade",
            place="--optimade",
            remedy="pip install 'fw_nnp[optimade]', or use the query syntax of fw-nnp",
        ) from None
    try:
        found = MongoTransformer().transform(LarkParser().parse(text))
    except (BadRequest, NotImplementedError) as error:
        detail = str(getattr(error, "detail", error)).splitlines()[0]
        raise SpecError(f"no OPTIMADE filter: {detail}", place="--optimade") from None
    filter_: Filter = translated(found)
    return filter_


def translated(value: Any) -> Any:
    """`value` with our names for the properties and times as times, at any depth."""
    if isinstance(value, list):
        return [translated(one) for one in value]
    if not isinstance(value, dict):
        return value
    result: Filter = {}
    for key, inner in value.items():
        if key == "nelements" and set(inner) == {"$eq"}:
            result["elements"] = {"$size": inner["$eq"]}
        elif key.startswith("$"):
            result[key] = translated(inner)
        else:
            first, dot, rest = key.partition(".")
            name = _name(first)
            result[name + dot + rest] = _times(inner) if FIELDS[name].of == "time" else inner
    return result


def _times(value: Any) -> Any:
    """OPTIMADE writes times as texts (RFC 3339), which no time in MongoDB equals."""
    if isinstance(value, dict):
        return {key: _times(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_times(inner) for inner in value]
    try:
        return utc(value) if isinstance(value, str) else value
    except ValueError:
        raise SpecError(
            f"'{value}' is no time", place="--optimade", remedy="write it like 2026-01-31T00:00:00Z"
        ) from None


def _name(key: str) -> str:
    name = STANDARD.get(key, key.removeprefix(PREFIX) if key.startswith(PREFIX) else "")
    if name not in FIELDS:
        known = [*STANDARD, *(PREFIX + field for field in FIELDS)]
        raise SpecError(
            f"no property is called '{key}'{did_you_mean(key, known)}",
            place="--optimade",
            remedy=f"properties: {', '.join([*STANDARD, 'nelements = N'])} and {PREFIX}FIELD",
        )
    return name
