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
from fw_nnp.store.schema import COLLECTIONS, FIELDS, SCHEMA, Field

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
        "fw_nnp reads labelled configurations from extended XYZ, HDF5 in ANI style, mlearn and "
        "pymatgen JSON, DeePMD folders, ASE databases and trajectories, also from .gz, .bz2, .xz "
        "and .zip; it knows them by their content. HDF5 and JSON files of others do not say their "
        "units, nor the sign and order of their stress. A small YAML file says it; "
        "`examples/descriptions/` has some. Extended XYZ and ASE's own files are taken in ASE's "
        "conventions unless described otherwise. What is described must then be in every frame.\n\n"
        "In extended XYZ, ASE databases and pymatgen JSON the labels are found under the names "
        "that are in use: `free_energy`, `energy` or, where there is neither, `total_energy`; "
        "`force` or `forces`, `stress`, `virial` or `virials`, in capitals or not, perhaps after a "
        "source such as `REF_`, `dft_` or `vasp_`. `REF_` stands above the rest; two other names "
        "whose values differ are an error, and so is a column that looks like forces and is not "
        "read. A virial is -V times the stress, as GAP, MACE, NequIP, GPUMD and DeePMD-kit mean "
        "it; beside a stress it must agree with it. A stress or virial of NaN is none; atoms "
        "without a volume have none. "
        "In HDF5 a row whose energy is NaN was not computed, and is passed over with a warning.\n\n"
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

With `--optimade` the conditions are in OPTIMADE's filter language, for which the optional
package `optimade` is needed (`pip install 'fw_nnp[optimade]'`): `elements HAS "Al" AND nsites < 64
AND _fwnnp_max_force < 5`. Its `id`, `elements`, `nelements`, `nsites` and
`chemical_formula_hill` are known, and every field below as `_fwnnp_FIELD`.

`--count` only counts; `--histogram pressure` draws a distribution in the terminal; `--fields`,
`--limit`, `--json` and `--csv` say what is printed and how.

## The same in Python

```python mongo
from pathlib import Path

from fw_nnp.services.launchpad import connect
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.query import parse_query
from fw_nnp.store.store import Store

store = Store(MongoDocuments(connect(Path("my_launchpad.yaml")).db))
n = store.count_labels(parse_query("Al phase=liquid"))
for item in store.labels("Al phase=liquid max_force<5"):
    forces, positions = item.label.forces, item.configuration.positions
```

## Fields

They are fields of the documents in the collection `labels`, so a plain MongoDB client can use
them as well; [the store](store.md) has all collections. Each of them leads an index, so that a
query by any of them, alone or with others, looks at no more labels than match one condition.
Conditions on `elements`, `code`, `campaign` (=), `phase` and `max_force`, in any combination, are
counted without a look at the labels.

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


def store() -> str:
    """Collections, fields, units and indexes."""
    sections = []
    for name, collection in COLLECTIONS.items():
        rows = [[f"`{f.name}`", _type(f), f.unit, f.description] for f in collection.fields]
        indexes = [", ".join(f"`{field}`" for field in index) for index in collection.indexes]
        indexes += [
            ", ".join(f"`{field}`" for field in index) + " (unique)" for index in collection.unique
        ]
        text = f"## {name}\n\n{collection.description}\n\n"
        text += table(["field", "type", "unit", "meaning"], rows)
        if indexes:
            text += "\n\nIndexes: `_id`; " + "; ".join(indexes) + "."
        sections.append(text)
    return STORE.format(schema=SCHEMA) + "\n\n".join(sections) + "\n"


def _type(field: Field) -> str:
    kind = f"list of {field.of}" if field.many else field.of
    return kind if field.needed else f"{kind}, optional"


STORE = """# The store

Everything a campaign makes is a document in MongoDB, in the database that `my_launchpad.yaml`
names, beside FireWorks' own collections. This page is made from the schema from which the
server's validators and indexes are made, too: a document that does not fit is refused by the
server, whoever writes it. Further fields are allowed. Each record says its schema, now
{schema}; `fw-nnp store migrate` brings older ones up to date.

An `array` is `{{"shape": [...], "data": ...}}`, little-endian float64 in C order, so that every
bit is kept. Units are eV, Å, fs and K; stress is positive in tension. An id is the hash of the
question, never of the answer: the same configuration from two files is one record, and a second
answer that differs by more than 0.1 meV/atom, 5 meV/Å or 0.1 GPa is refused and kept in
`conflicts`.
Writes are acknowledged by the majority and journalled. Files (models) are in GridFS under
`blobs`, named by their sha256.

## With a plain MongoDB client

With `my_launchpad.yaml`, or with the file that `fw-nnp store reader NAME FILE` wrote for you:

```python mongo
import numpy as np
import yaml
from gridfs import GridFS
from pymongo import MongoClient

pad = yaml.safe_load(open("my_launchpad.yaml"))
client = MongoClient(
    pad["host"],
    pad["port"],
    username=pad["username"],
    password=pad["password"],
    authSource=pad["authsource"],
    **(pad.get("mongoclient_kwargs") or {{}}),
)
db = client[pad["name"]]


def array(packed):
    return np.frombuffer(packed["data"]).reshape(packed["shape"])


n = db.labels.count_documents({{"elements": "Al", "code": "espresso", "max_force": {{"$lt": 5}}}})
label = db.labels.find_one({{"elements": "Al"}})
forces, positions = array(label["forces"]), array(label["positions"])
cell, numbers = array(label["cell"]), list(label["numbers"])
theory = db.theories.find_one({{"_id": label["theory"]}})["settings"]
version = db.datasets.find_one({{}}, sort=[("created", -1)])
training = [
    label
    for piece in db.members.find({{"dataset": version["_id"], "part": "train"}})
    for label in db.labels.find({{"_id": {{"$in": piece["labels"]}}}})
]
by_phase = {{
    row["_id"]: row["n"]
    for row in db.labels.aggregate([{{"$group": {{"_id": "$phase", "n": {{"$sum": 1}}}}}}])
}}
model = db.models.find_one({{}}, sort=[("created", -1)])
file = GridFS(db, collection="blobs").get_last_version(model["blob"]).read()
```

In Python with fw_nnp, `Store.labels` streams records ([queries](query.md)), `Store.blocks` arrays
of many labels at once, and `fw_nnp.store.cache` packs a dataset part into one memory-mapped file.

## Keeping it

`fw-nnp store check` recomputes every id and follows every reference. `fw-nnp store backup FILE`
writes one tar archive of BSON with checksums, `fw-nnp store restore FILE` puts it into an empty
database. `fw-nnp store reader NAME FILE` makes a user who can query and export, but not write.

"""

COMMANDS = """# Commands

Results go to stdout, messages to stderr. Exit codes: 0 done, 1 failed, 2 something that you can
mend (a file, an argument, a missing program; the message says what), 130 interrupted.

"""

PAGES: Mapping[str, Callable[[], str]] = {
    "campaign.md": campaign,
    "cli.md": commands,
    "file_description.md": file_description,
    "query.md": query,
    "store.md": store,
    "training.md": training,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(MADE + page(), encoding="utf-8")


if __name__ == "__main__":
    main()
