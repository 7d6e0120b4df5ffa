"""What the store keeps: every collection with its fields, units and indexes.

One list, from which the JSON-schema validators of the server, the indexes, the fields that
queries know and docs/reference/store.md are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA = 2
"""Number of the present schema; `fw-nnp store migrate` brings older records to it."""

Kind = Literal["text", "integer", "number", "time", "flag", "array", "bytes", "object"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a document.

    Attributes
    ----------
    of
        Type of the value, or of its elements where `many`. ``array`` is
        ``{"shape": [...], "data": float64 little-endian, C order}``.
    values
        The only texts allowed; empty: any.
    needed
        Whether every document has it.
    """

    name: str
    of: Kind
    description: str
    many: bool = False
    unit: str = ""
    values: tuple[str, ...] = ()
    needed: bool = True


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection: its fields, and the lists of fields that are indexed together.

    At most one list field in each index: MongoDB cannot index two together.
    """

    description: str
    fields: tuple[Field, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()


PHASES = ("solid", "interface", "liquid", "")

_SCHEMA = Field(name="schema", of="integer", description="number of the schema of the record")
_CREATED = Field(name="created", of="time", description="when it was stored (UTC)")
_CAMPAIGNS = Field(
    name="campaign", of="text", many=True, description="campaigns that use the record"
)
_CAMPAIGN = Field(name="campaign", of="text", description="name of the campaign")
_GEOMETRY = (
    Field(name="cell", of="array", unit="Å", description="(3, 3), rows are the lattice vectors"),
    Field(name="positions", of="array", unit="Å", description="(N, 3), Cartesian"),
    Field(name="numbers", of="bytes", description="atomic numbers, one byte per atom"),
    Field(name="pbc", of="flag", many=True, description="periodic along each lattice vector"),
)
_COMPOSITION = (
    Field(name="elements", of="text", many=True, description="chemical elements in the cell"),
    Field(name="system", of="text", description="the elements in one text, for example `Al-Ni`"),
    Field(name="formula", of="text", description="formula in Hill order, for example `Al32`"),
    Field(name="n_atoms", of="integer", description="number of atoms in the cell"),
    Field(name="volume_per_atom", of="number", unit="Å³", description="volume per atom"),
)
_ORIGIN = (
    Field(
        name="phase",
        of="text",
        values=PHASES,
        description='`solid`, `interface` or `liquid`; `""` before tagging',
    ),
    Field(name="sampler", of="text", description="protocol that made the configuration"),
    Field(name="trajectory", of="text", description="id of the sampler's run"),
    Field(name="temperature", of="number", unit="K", description="temperature of the frame"),
)
_QUESTION = (
    Field(name="configuration", of="text", description="id of the configuration, `cfg-...`"),
    Field(name="theory", of="text", description="id of the level of theory, `thy-...`"),
)

LABEL_FIELDS = (
    Field(name="_id", of="text", description="id of the label, `lbl-...`"),
    _SCHEMA,
    *_QUESTION,
    Field(name="code", of="text", description="`espresso`, `vasp`, `empirical` or `file`"),
    _CAMPAIGNS,
    Field(
        name="purpose",
        of="text",
        many=True,
        description="what it is for: `pool`, `training`, `reference`",
    ),
    *_COMPOSITION,
    *_ORIGIN,
    Field(name="energy_per_atom", of="number", unit="eV", description="free energy per atom"),
    Field(
        name="max_force",
        of="number",
        unit="eV/Å",
        description="largest force on an atom",
        needed=False,
    ),
    Field(
        name="pressure",
        of="number",
        unit="GPa",
        description="minus a third of the trace of the stress: positive in compression",
        needed=False,
    ),
    Field(name="corrections", of="integer", description="corrections on the way to the label"),
    _CREATED,
    Field(
        name="energy",
        of="number",
        unit="eV",
        description="force-consistent free energy of the cell",
    ),
    Field(name="forces", of="array", unit="eV/Å", description="(N, 3)", needed=False),
    Field(
        name="stress",
        of="array",
        unit="eV/Å³",
        description="(3, 3), (1/V) dE/d(strain): positive in tension",
        needed=False,
    ),
    *_GEOMETRY,
    Field(
        name="provenance",
        of="object",
        description="corrections, times, host, versions, digests, or the file it came from",
    ),
)

INDEXED_TOGETHER = ("theory", "system", "phase", "max_force")
"""Fields of a label that one index holds together, and another after ``campaign``, so that they
are counted without the labels: first those with few values, last the one that is a range."""

COLLECTIONS: Mapping[str, Collection] = {
    "configurations": Collection(
        description="Atoms in cells, each once however often it was found.",
        fields=(
            Field(name="_id", of="text", description="`cfg-...`, sha256 of the geometry"),
            _SCHEMA,
            _CAMPAIGNS,
            *_COMPOSITION,
            *_ORIGIN,
            Field(name="step", of="integer", description="step of the run"),
            Field(name="time", of="number", unit="fs", description="time in the run"),
            *_GEOMETRY,
            _CREATED,
        ),
        indexes=(("campaign", "phase"), ("trajectory",)),
    ),
    "theories": Collection(
        description="Levels of theory: a code and every setting that changes the answer.",
        fields=(
            Field(name="_id", of="text", description="`thy-...`, sha256 of code and settings"),
            _SCHEMA,
            Field(name="code", of="text", description="`espresso`, `vasp`, `empirical`, `file`"),
            Field(name="settings", of="object", description="files enter as their sha256"),
            _CREATED,
        ),
    ),
    "labels": Collection(
        description="Energy, forces and stress of a configuration at a level of theory. The "
        "geometry is in the label, too, so that one `find` gives a training set.",
        fields=LABEL_FIELDS,
        indexes=(
            ("configuration", "theory"),
            ("campaign", *INDEXED_TOGETHER),
            INDEXED_TOGETHER,
            ("elements", "code", "phase", "max_force"),
            ("phase", "max_force"),
            *((name,) for name in ("code", "system", "formula", "n_atoms", "purpose", "sampler")),
            *((name,) for name in ("max_force", "pressure", "energy_per_atom", "volume_per_atom")),
            *((name,) for name in ("trajectory", "temperature", "corrections", "created")),
        ),
    ),
    "conflicts": Collection(
        description="Second answers that differ from the first by more than the tolerance: whole "
        "label documents under an id of their own, and `label`, the id of the first.",
        fields=(
            Field(name="label", of="text", description="id of the label it contradicts"),
            *(f for f in LABEL_FIELDS if f.name not in ("campaign", "purpose")),
        ),
        indexes=(("label",),),
    ),
    "quarantine": Collection(
        description="Questions without a trustworthy answer, and why.",
        fields=(
            Field(name="_id", of="text", description="id of the label that is missing"),
            _SCHEMA,
            _CAMPAIGNS,
            *_QUESTION,
            Field(name="error_class", of="text", description="name from the catalogue of errors"),
            Field(name="reason", of="text", description="one sentence"),
            Field(name="evidence", of="object", description="file, line, numbers, repairs tried"),
            _CREATED,
        ),
        indexes=(("campaign", "error_class"), ("configuration",)),
    ),
    "datasets": Collection(
        description="Immutable versions of data sets; which labels they have is in `members`.",
        fields=(
            Field(name="_id", of="text", description="`set-...`, sha256 of labels and split"),
            _SCHEMA,
            Field(name="series", of="text", description="name of the data set"),
            Field(name="version", of="integer", description="1, 2, 3 ... in the series"),
            Field(name="name", of="text", description="`SERIES-vVERSION`"),
            Field(name="theories", of="text", many=True, description="levels of theory in it"),
            Field(name="counts", of="object", description="labels per part"),
            Field(
                name="recipe",
                of="object",
                description="`query`, `split_by`, `fractions`, `seed`, as far as they are known",
            ),
            Field(name="parent", of="text", description="id of the version before", needed=False),
            _CREATED,
        ),
        unique=(("series", "version"),),
        indexes=(("name",),),
    ),
    "members": Collection(
        description="The label ids of each part of a dataset version, in slices.",
        fields=(
            Field(name="_id", of="text", description="`set-.../PART/SLICE`"),
            _SCHEMA,
            Field(name="dataset", of="text", description="id of the dataset version"),
            Field(name="part", of="text", description="`train`, `validation` or `test`"),
            Field(name="labels", of="text", many=True, description="sorted label ids"),
        ),
        indexes=(("dataset", "part"), ("labels",)),
    ),
    "models": Collection(
        description="Trained potentials; the file itself is a blob.",
        fields=(
            Field(name="_id", of="text", description="`mdl-...`, of data, spec, parent and seed"),
            _SCHEMA,
            _CAMPAIGN,
            Field(name="stage", of="text", description="name of the training stage"),
            Field(name="blob", of="text", description="sha256 of the file, its name in `blobs`"),
            Field(
                name="source",
                of="text",
                description="dataset version it was trained on",
                needed=False,
            ),
            Field(name="parent", of="text", description="model that it started from", needed=False),
            Field(name="seed", of="integer", description="of the training", needed=False),
            Field(name="training", of="object", description="spec of the stage", needed=False),
            Field(
                name="replay",
                of="text",
                description="dataset version that was shown again meanwhile",
                needed=False,
            ),
            Field(
                name="movement",
                of="object",
                description="what moved since the model it started from",
                needed=False,
            ),
            Field(
                name="history",
                of="object",
                many=True,
                description="errors after each epoch",
                needed=False,
            ),
            _CREATED,
        ),
        indexes=(("campaign", "stage"), ("source",), ("parent",)),
    ),
    "evaluations": Collection(
        description="The newest evaluation of each campaign: errors, elastic constants, costs.",
        fields=(
            Field(name="_id", of="text", description="name of the campaign"),
            _CAMPAIGN,
            Field(name="evaluation", of="object", description="as the report shows it"),
            _CREATED,
        ),
    ),
    "steps": Collection(
        description="What was done, and what it cost.",
        fields=(
            Field(name="_id", of="text", description="`CAMPAIGN/KEY`"),
            _CAMPAIGN,
            Field(name="key", of="text", description="name of the step"),
            Field(name="stage", of="text", description="sample, select, relabel, train ..."),
            Field(name="wall_s", of="number", unit="s", description="time on the clock"),
            Field(name="core_s", of="number", unit="s", description="time of all cores"),
            Field(name="result", of="object", description="what later steps need"),
            _CREATED,
        ),
        indexes=(("campaign", "created"),),
    ),
    "campaigns": Collection(
        description="Campaigns and their resolved specs.",
        fields=(
            Field(name="_id", of="text", description="name of the campaign"),
            _SCHEMA,
            Field(name="spec", of="object", description="every setting, defaults included"),
            Field(name="base", of="text", description="folder of the campaign file"),
            _CREATED,
        ),
    ),
    "chunks": Collection(
        description="Which configurations are labelled together.",
        fields=(
            Field(name="_id", of="text", description="`CAMPAIGN/NUMBER`"),
            _CAMPAIGN,
            Field(name="number", of="integer", description="of the chunk"),
            Field(name="configurations", of="text", many=True, description="their ids"),
        ),
        indexes=(("campaign", "number"),),
    ),
    "progress": Collection(
        description="How far long steps are; only the newest word is kept.",
        fields=(
            Field(name="_id", of="text", description="`CAMPAIGN/KEY`"),
            _CAMPAIGN,
            Field(name="key", of="text", description="name of the step"),
        ),
        indexes=(("campaign",),),
    ),
}

FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in LABEL_FIELDS
    if field.of in ("text", "integer", "number", "time") and field.name not in ("schema", "energy")
}
"""Every field of a label that the text syntax of queries knows."""

_BSON: Mapping[Kind, Any] = {
    "text": "string",
    "integer": ["int", "long"],
    "number": ["double", "int", "long"],
    "time": "date",
    "flag": "bool",
    "array": "object",
    "bytes": "binData",
    "object": "object",
}


def json_schema(collection: str) -> dict[str, Any]:
    """The validator of a collection: types of the fields, and those that must be there.

    Further fields are allowed, so that people can add notes of their own.
    """
    fields = COLLECTIONS[collection].fields
    return {
        "bsonType": "object",
        "required": [field.name for field in fields if field.needed],
        "properties": {field.name: _property(field) for field in fields},
    }


def _property(field: Field) -> dict[str, Any]:
    one: dict[str, Any] = {"bsonType": _BSON[field.of]}
    if field.values:
        one["enum"] = list(field.values)
    if field.of == "array":
        one["required"] = ["shape", "data"]
        one["properties"] = {"shape": {"bsonType": "array"}, "data": {"bsonType": "binData"}}
    return {"bsonType": "array", "items": one} if field.many else one
