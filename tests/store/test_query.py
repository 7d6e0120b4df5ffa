"""The text syntax says what it says, and the memory twin finds what MongoDB finds."""

from __future__ import annotations

from datetime import UTC, datetime

import mongomock
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.store.indexed import counted_by, indexed
from fw_nnp.store.query import matches, parse_query
from fw_nnp.store.schema import INDEXED_TOGETHER


def label(id_: str, **fields) -> dict:
    """A label document as far as queries see it."""
    return {
        "_id": id_,
        "elements": ["Al"],
        "code": "espresso",
        "phase": "solid",
        "n_atoms": 32,
        "campaign": ["al-1"],
        "max_force": 1.5,
        "pressure": 0.0,
        "created": datetime(2026, 1, 31, tzinfo=UTC),
        **fields,
    }


LABELS = [
    label("lbl-1"),
    label("lbl-2", phase="liquid", max_force=7.0, pressure=-2.0, campaign=["al-1", "al-2"]),
    label("lbl-3", elements=["Al", "Ni"], n_atoms=4, campaign=["alni"], pressure=12),
    label("lbl-4", code="empirical", phase="", created=datetime(2026, 2, 1, tzinfo=UTC)),
    label("lbl-5", elements=["Ni"], phase="interface", campaign=[]),
    {k: v for k, v in label("lbl-6", phase=None).items() if k not in ("max_force", "pressure")},
    label("lbl-7", max_force="five", pressure=True),
]
QUESTIONS = {
    "": "1234567",
    "Al": "123467",
    "Al Ni": "3",
    "elements=Al,Ni": "1234567",
    "elements!=Al": "5",
    "Al code=espresso max_force<5 phase=solid campaign=al-1": "1",
    "phase=solid,liquid": "1237",
    'phase=""': "4",
    "phase!=solid,liquid": "456",
    "max_force >= 1.5 max_force<7": "1345",
    "max_force=7": "2",
    "max_force!=7": "134567",
    "pressure>-2 pressure<=12": "1345",
    "n_atoms!=32": "3",
    "campaign=al-2": "2",
    "campaign!=al-1": "35",
    "created>2026-01-31": "4",
    "created<=2026-01-31T00:00:00+00:00": "123567",
    "_id=lbl-3,lbl-5": "35",
}
FILTERS = [
    {"max_force": {"$exists": False}},
    {"max_force": {"$exists": True, "$lt": 5}},
    {"max_force": None},
    {"max_force": {"$ne": None}},
    {"max_force": {"$in": [None, 7.0]}},
    {"phase": {"$in": [None]}},
    {"campaign": {"$all": ["al-1", "al-2"]}},
    {"campaign": {"$all": []}},
    {"campaign": []},
    {"campaign": ["al-1", "al-2"]},
    {"campaign": ["al-2", "al-1"]},
    {"campaign": {"$gt": "al-1"}},
    {"pressure": 1},
    {"pressure": True},
    {"pressure": {"$lt": 1}},
    {"phase": {"$gte": "liquid"}},
    {"phase": {"$gte": ""}},
    {"n_atoms": {"$nin": [4, 8]}},
    {"n_atoms": 32.0},
    {"$or": [{"n_atoms": 4}, {"phase": "liquid"}], "elements": "Al"},
    {"$and": [{"$or": [{"n_atoms": 4}, {"phase": "liquid"}]}, {"pressure": {"$gt": 0}}]},
]
# The server itself is asked, too: no empty $all matches, and true is not 1.
MONGOMOCK_ERRS = [{"campaign": {"$all": []}}, {"pressure": 1}]


def found_in_memory(filter_: dict) -> set[str]:
    return {document["_id"] for document in LABELS if matches(filter_, document)}


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_find_their_labels(question):
    expected = {f"lbl-{digit}" for digit in QUESTIONS[question]}
    assert found_in_memory(parse_query(question)) == expected


def test_the_memory_twin_agrees_with_mongomock():
    labels = mongomock.MongoClient(tz_aware=True).db.labels
    labels.insert_many(LABELS)
    for filter_ in [*map(parse_query, QUESTIONS), *FILTERS]:
        if filter_ in MONGOMOCK_ERRS:
            continue
        found = {document["_id"] for document in labels.find(filter_)}
        assert found_in_memory(filter_) == found, filter_


@pytest.mark.engines
def test_the_memory_twin_agrees_with_mongodb(launchpad):
    labels = launchpad.connection[launchpad.name].query_labels
    labels.insert_many(LABELS)
    for filter_ in [*map(parse_query, QUESTIONS), *FILTERS]:
        found = {document["_id"] for document in labels.find(filter_)}
        assert found_in_memory(filter_) == found, filter_


def test_filters_are_plain_where_they_can_be():
    assert parse_query("Al max_force<5") == {"elements": "Al", "max_force": {"$lt": 5.0}}
    assert parse_query("pressure>0 pressure<5") == {
        "$and": [{"pressure": {"$gt": 0.0}}, {"pressure": {"$lt": 5.0}}]
    }


def test_json_is_taken_as_it_is():
    text = '{"max_force": {"$lt": 5}, "created": {"$gt": {"$date": "2026-01-31T12:00:00Z"}}}'
    assert parse_query(text) == {
        "max_force": {"$lt": 5},
        "created": {"$gt": datetime(2026, 1, 31, 12, tzinfo=UTC)},
    }


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("phas=liquid", "did you mean 'phase'"),
        ("phase=liqiud", "did you mean 'liquid'"),
        ("phase=solid,", "empty part"),
        ("phase<solid", "compares text"),
        ("max_force<1,2", "compares a list"),
        ("max_force<5eV", "no number"),
        ("max_force<nan", "no number"),
        ("max_force<", "no condition"),
        ("max_force==5", "no condition"),
        ("max_force 5", "has no value"),
        ("n_atoms=3.5", "no integer"),
        ("n_atoms=99999999999999999999", "no integer"),
        ("created>yesterday", "no time"),
        ("aluminium", "neither an element"),
        ("X", "neither an element"),
        ('{"max_force": ', "not JSON"),
        ('{"created": {"$date": 5}}', "not JSON"),
        ('{"$where": "sleep(1000)"}', "refused"),
        ('{"$or": [{"a": {"$not": {"$function": {}}}}]}', "refused"),
        ('{"$expr": {"$accumulator": {}}}', "refused"),
    ],
)
def test_wrong_questions_are_refused(question, message):
    with pytest.raises(SpecError, match=message):
        parse_query(question)


@pytest.mark.parametrize(
    "filter_", [{"$nor": []}, {"a": {"$regex": "x"}}, {"provenance.host": "a"}]
)
def test_the_memory_twin_does_not_guess(filter_):
    with pytest.raises(SpecError, match="does not know"):
        matches(filter_, {"a": "x"})


VALUES = {
    "system": ["Al", "Al-Ni", "Ni"],
    "theory": ["thy-empirical", "thy-espresso"],
    "phase": ["", "interface", "liquid", "solid"],
}
CODES = {"thy-espresso": "espresso", "thy-empirical": "empirical"}


def in_the_index(question: str) -> dict:
    return indexed(parse_query(question), VALUES.__getitem__, lambda: CODES)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_indexed_question_is_the_same_question(question):
    """Asked for systems and theories instead of elements and codes, the answer is the same."""
    documents = [
        {**d, "system": "-".join(d["elements"]), "theory": f"thy-{d['code']}"} for d in LABELS
    ]
    asked = in_the_index(question)
    assert "elements" not in asked
    assert "code" not in asked
    found = {d["_id"] for d in documents if matches(asked, d)}
    assert found == {f"lbl-{digit}" for digit in QUESTIONS[question]}


def test_fields_before_the_last_in_the_index_are_all_asked():
    both = {"$in": VALUES["theory"]}
    assert in_the_index("system=Al phase=liquid") == {
        "system": "Al",
        "phase": "liquid",
        "theory": both,
    }
    assert in_the_index("Al Ni max_force>1 max_force<5")["$and"] == [
        {"max_force": {"$gt": 1.0}},
        {"max_force": {"$lt": 5.0}},
        {"system": "Al-Ni"},
        {"theory": both},
        {"phase": {"$in": VALUES["phase"]}},
    ]
    for question in ("phase=liquid", "campaign=a theory=b", "phase=liquid pressure<1"):
        assert in_the_index(question) == parse_query(question)


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("campaign=a", ("campaign", *INDEXED_TOGETHER)),
        ("campaign!=a code=espresso", ()),
        ("Al phase=liquid", INDEXED_TOGETHER),
        ("Al max_force>1 max_force<5 campaign=a,b", ("campaign", *INDEXED_TOGETHER)),
        ("phase=liquid", ()),
        ("Al pressure<1", ()),
        ("", ()),
    ],
)
def test_the_index_that_counts_alone_is_known(question, index):
    assert counted_by(in_the_index(question)) == index


def test_optimade_s_filters_are_translated():
    """What the optional package makes of a filter, in our names and types."""
    from fw_nnp.store.optimade import translated

    theirs = {
        "$and": [
            {"elements": {"$in": ["Al"]}},
            {"nsites": {"$lt": 64}},
            {"nelements": {"$eq": 2}},
            {"$or": [{"_fwnnp_max_force": {"$lt": 5}}, {"_fwnnp_phase": {"$eq": "liquid"}}]},
            {"_fwnnp_created": {"$gt": "2026-01-31T00:00:00Z"}},
        ]
    }
    assert translated(theirs) == {
        "$and": [
            {"elements": {"$in": ["Al"]}},
            {"n_atoms": {"$lt": 64}},
            {"elements": {"$size": 2}},
            {"$or": [{"max_force": {"$lt": 5}}, {"phase": {"$eq": "liquid"}}]},
            {"created": {"$gt": datetime(2026, 1, 31, tzinfo=UTC)}},
        ]
    }
    with pytest.raises(SpecError, match="did you mean '_fwnnp_phase'"):
        translated({"_fwnnp_phas": {"$eq": "liquid"}})
    with pytest.raises(SpecError, match="is no time"):
        translated({"_fwnnp_created": {"$gt": "yesterday"}})
