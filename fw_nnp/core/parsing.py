"""Plain data to specs: YAML files read, checked, and their mistakes named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .errors import SpecError
from .registry import did_you_mean
from .specs import Spec

SpecT = TypeVar("SpecT", bound=Spec)
MODEL_TAGS = ("ModelSpec", "AniSpec")


def parse(kind: type[SpecT], data: Any, *, place: str) -> SpecT:
    """Validate plain data (from YAML or JSON) as `kind`.

    Raises
    ------
    SpecError
        Names the file, the path of the key, what is wrong and the nearest known key.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _spec_error(kind, error, place) from None


def _spec_error(kind: type[BaseModel], error: ValidationError, place: str) -> SpecError:
    lines = []
    remedy = ""
    for item in error.errors(include_url=False):
        tags = (
            "melt_quench",
            "strain",
            "rattle",
            "import",
            "espresso",
            "vasp",
            "empirical",
            *MODEL_TAGS,
        )
        path = [str(part) for part in item["loc"]]
        shown = ".".join(part for i, part in enumerate(path) if not (i and part in tags))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            known = _known_keys(kind, path[:-1])
            message = f"unknown key{did_you_mean(path[-1], known)}"
            remedy = f"known here: {', '.join(known)}" if known else ""
        lines.append(f"{shown or 'top level'}: {message}")
    return SpecError("; ".join(lines), place=place, remedy=remedy)


def _known_keys(kind: type[BaseModel], path: list[str]) -> list[str]:
    """Keys that the spec at `path` inside `kind` knows."""
    schema = kind.model_json_schema()
    node: Any = schema
    for part in [*path, None]:
        while "$ref" in node or "discriminator" in node or "anyOf" in node or "oneOf" in node:
            if "$ref" in node:
                node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
            elif "discriminator" in node:
                if part not in node["discriminator"]["mapping"]:
                    return []
                node = {"$ref": node["discriminator"]["mapping"][part]}
                part = None
            elif "oneOf" in node:  # of models, whose tags are the names of their specs
                if part not in MODEL_TAGS:
                    return []
                node = schema["$defs"][part]
                part = None
            else:
                node = next((n for n in node["anyOf"] if "$ref" in n), {})
        if part is None:
            continue
        node = node["items"] if part.isdigit() else node.get("properties", {}).get(part, {})
    return list(node.get("properties", {}))


def load_yaml(path: Path) -> Any:
    """Plain data of a YAML 1.2 file, read by the loader that FireWorks uses (safe, no objects).

    Raises
    ------
    SpecError
        With line and column where the file cannot be read.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text())
    except FileNotFoundError:
        raise SpecError("no such file", place=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read: {error}", place=str(path)) from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "not YAML"
        raise SpecError(f"not valid YAML: {problem}", place=place) from None


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, mappings key by key, everything else replaced."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result
