"""Reference pages in Markdown from the specs themselves, so that they cannot disagree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

_BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
Schema = Mapping[str, Any]


def spec_reference(spec: type[BaseModel], title: str, introduction: str) -> str:
    """A page about `spec` and every spec inside it: keys, types, defaults, meanings."""
    root = spec.model_json_schema()
    sections = [f"# {title}", introduction, *_section(root)]
    for name in _reached(root, root.get("$defs", {})):
        sections += [f"## {_heading(name)}", *_section(root["$defs"][name])]
    return "\n\n".join(sections) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _reached(node: Any, definitions: Mapping[str, Schema]) -> list[str]:
    """Names of the specs that `node` refers to, outer before inner, each once."""
    names: list[str] = []
    waiting = [node]
    while waiting:
        found = [name for name in _references(waiting.pop(0)) if name not in names]
        names += found
        waiting += [definitions[name] for name in found]
    return names


def _references(node: Any) -> list[str]:
    """Names referred to directly, in the order of the keys."""
    if isinstance(node, Mapping):
        if "$ref" in node:
            return [_target(node)]
        return _distinct(n for k, v in node.items() if k != "$defs" for n in _references(v))
    if isinstance(node, list):
        return _distinct(name for value in node for name in _references(value))
    return []


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _target(node: Schema) -> str:
    return str(node["$ref"]).rsplit("/", 1)[1]


def _heading(name: str) -> str:
    """``MeltQuenchSpec`` -> ``Melt quench``."""
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", name.removesuffix("Spec"))
    return words.capitalize()


def _section(schema: Schema) -> list[str]:
    required = schema.get("required", [])
    rows = [
        [f"`{key}`", _type(node), _default(node, key in required), _prose(node)]
        for key, node in schema["properties"].items()
    ]
    parts = [table(["key", "type", "default", "meaning"], rows)]
    return [_prose(schema), *parts] if "description" in schema else parts


def _prose(node: Schema) -> str:
    return " ".join(node.get("description", "").replace("``", "`").split())


def _default(node: Schema, required: bool) -> str:
    if required:
        return "required"
    value = node.get("default")
    if value in (None, "", {}, []):
        return "none"
    if "$ref" in node or "oneOf" in node:
        return "as below"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(node: Schema) -> str:
    """The type of a key in words."""
    if "$ref" in node:
        heading = _heading(_target(node))
        return f"[{heading}](#{heading.lower().replace(' ', '-')})"
    for key in ("oneOf", "anyOf"):
        if key in node:
            return " or ".join(_type(choice) for choice in node[key] if choice != {"type": "null"})
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return _listed(node["enum"])
    if "format" in node:
        return str(node["format"])
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    if node.get("type") == "object":
        return _mapping_type(node)
    bounds = [f"{sign} {node[key]:g}" for key, sign in _BOUNDS.items() if key in node]
    return " ".join([_NAMES.get(node.get("type", ""), "anything"), *bounds])


_NAMES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}


def _mapping_type(node: Schema) -> str:
    keys = node.get("propertyNames", {}).get("enum")
    values = node.get("additionalProperties", True)
    inner = "anything" if values is True else _type(values)
    return f"mapping{f' from {_listed(keys)}' if keys else ''} to {inner}"


def _listed(values: Sequence[Any]) -> str:
    shown = [f"`{value}`" for value in values]
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
