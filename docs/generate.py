"""Write the reference pages from the code: ``python docs/generate.py``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from typer.main import get_command

from fw_nnp.cli.main import app
from fw_nnp.core.reference import spec_reference, table
from fw_nnp.core.specs import CampaignSpec, FileTrainSpec
from fw_nnp.exchange import FileDescription
from fw_nnp.store.query import FIELDS

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Made by docs/generate.py; edit the code, not this page. -->\n\n"


def campaign() -> str:
    """Keys of a campaign file."""
    return spec_reference(
        CampaignSpec,
        "The campaign file",
        "A campaign is a workflow file that FireWorks loads, with one planner task; "
        "`examples/campaigns/` shows the frame around it. This page lists the keys of its "
        "`campaign` section: everything a campaign is. An unknown key is an error that names "
        "the nearest known one. Numbers are in eV, Å, fs and K; a text with a unit, such as "
        "`20 ps` or `25 Ry`, is converted (see [units](../units.md)). "
        "Check a file with `fw-nnp validate FILE`.",
    )


def training() -> str:
    """Keys of the configuration of `fw-nnp train`."""
    return spec_reference(
        FileTrainSpec,
        "Training on files",
        "What `fw-nnp train --data FILE --out DIR --config FILE` reads. Every key has a default. "
        "Stages of `labels: high` take the files of `--data`, those of `labels: low` the files of "
        "`--low-data`; both are split alike, and no configuration that is held out of the first "
        "trains in the second.",
    )


def file_description() -> str:
    """Keys of the description of a foreign data file."""
    return spec_reference(
        FileDescription,
        "The description of a data file",
        "fw_nnp reads labelled configurations from extended XYZ, HDF5 in ANI style, mlearn JSON "
        "and ASE databases; it knows them by their content. HDF5 and JSON files of others do "
        "not say their units, nor the sign and order of their "
        "stress. A small YAML file says it; `examples/descriptions/` has some. Extended XYZ "
        "files and ASE databases are taken in ASE's conventions unless described otherwise. "
        "What is described must then be in every frame.\n\n"
        "A frame belongs to the trajectory that the file names: `trajectory` in the info of "
        "an extended XYZ frame, in the data of an ASE row or as a column of an HDF5 block; "
        "mlearn's `Snapshot 3 of 20 of X` belongs to X. A frame without one is a trajectory "
        "of its own, so a split by trajectory then guards against equal configurations only: "
        "where frames of one run are in the file, name the run.",
    )


def query() -> str:
    """Syntax and fields of queries."""
    rows = [
        [
            f"`{field.name}`",
            ("list of " if field.many else "") + field.of,
            field.unit,
            field.description,
        ]
        for field in FIELDS.values()
    ]
    return QUERY_SYNTAX + table(["field", "type", "unit", "meaning"], rows) + "\n"


QUERY_SYNTAX = """# Queries

`fw-nnp query "Al code=espresso max_force<5 phase=liquid"` lists the labels for which every
condition holds.

| condition | finds |
| --- | --- |
| `Al` | cells with aluminium in them; `Al Ni`: with both |
| `phase=liquid`, `phase!=liquid` | equal, not equal |
| `phase=solid,interface` | any of these; with `!=` none of these |
| `max_force<5` | also `<=`, `>`, `>=`, for numbers and times |
| `created>=2026-01-31` | a time, UTC unless it names its zone |
| `trajectory="a b"` | quotes, where a value has spaces or commas |

A list field (`elements`, `campaign`, `purpose`) equals a value if one of its elements does.
An unknown field or a value of the wrong type is an error.

A text that starts with `{` is a MongoDB filter as JSON, times as `{"$date": "2026-01-31"}`:

```json
{"elements": "Al", "max_force": {"$lt": 5}, "$or": [{"phase": "liquid"}, {"pressure": {"$gt": 10}}]}
```

`$where`, `$function`, `$accumulator` and `$expr` are refused.

## Fields

They are fields of the documents in the collection `labels`, so a plain MongoDB client can use
them as well.

"""


def commands() -> str:
    """Every command with its arguments and options."""
    return COMMANDS + "".join(_command(name, c) for name, c in _leaves(get_command(app), "fw-nnp"))


def _leaves(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(full name, command) of every command below `group`."""
    for part, command in group.commands.items():
        full = f"{name} {part}"
        if hasattr(command, "commands"):
            yield from _leaves(command, full)
        else:
            yield full, command


def _command(name: str, command: Any) -> str:
    rows = [
        [f"`{_written(parameter)}`", parameter.help or ""]
        for parameter in command.params
        if not getattr(parameter, "hidden", False)
    ]
    parameters = "\n" + table(["", "meaning"], rows) + "\n" if rows else ""
    return f"## {name}\n\n{inspect.cleandoc(command.help)}\n{parameters}\n"


def _written(parameter: Any) -> str:
    """An argument in capitals, an option as it is typed."""
    if parameter.param_type_name == "argument":
        return (parameter.metavar or parameter.name).upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


COMMANDS = """# Commands

Results go to stdout, messages to stderr. Exit codes: 0 done, 1 failed, 2 something that you can
mend (a file, an argument, a missing program; the message says what), 130 interrupted.

"""

PAGES: Mapping[str, Callable[[], str]] = {
    "campaign.md": campaign,
    "cli.md": commands,
    "file_description.md": file_description,
    "query.md": query,
    "training.md": training,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(MADE + page(), encoding="utf-8")


if __name__ == "__main__":
    main()
