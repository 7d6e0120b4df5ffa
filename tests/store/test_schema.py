"""What is written is what is documented, every documented question has an index, and a plain
client can follow the page."""

from __future__ import annotations

import re
import shlex
from itertools import combinations
from pathlib import Path

import pytest
from stores import DFT, EAM, block

from fw_nnp.core.errors import StoreError
from fw_nnp.core.records import Quarantine
from fw_nnp.store.indexed import counted_by
from fw_nnp.store.query import parse_query
from fw_nnp.store.schema import COLLECTIONS, FIELDS, INDEXED_TOGETHER, json_schema
from fw_nnp.store.store import Store

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def fill(store: Store) -> None:
    """One of everything."""
    store.open_campaign("a", {"name": "a"}, "/somewhere")
    made = block(60)
    store.add_blocks([made], campaign="a", purpose="training", sampler="made")
    missing = Quarantine(
        configuration_id="cfg-x", theory_id=DFT.id, error_class="geometry", reason="overlap"
    )
    store.add_quarantine([missing], campaign="a")
    dataset = store.create_dataset(
        "a", {}, query="", split_by=["trajectory"], fractions=[0.6, 0.2, 0.2], seed=1
    )
    record = {"campaign": "a", "stage": "s", "source": dataset, "seed": 1, "training": {}}
    store.add_model("mdl-1", b"weights", record)
    store.add_chunks("a", [["cfg-1"]])
    store.finish_step("a", "plan", stage="plan", wall_s=1.0, core_s=1.0, result={})
    store.put_evaluation("a", {"model_id": "mdl-1"})
    made.energies[:1] += 1.0
    with pytest.raises(StoreError):
        store.add_blocks([made], campaign="a", purpose="training", sampler="made")


def test_documents_have_the_documented_fields_and_no_others(store):
    fill(store)
    for name, collection in COLLECTIONS.items():
        if name == "progress":
            continue
        document = next(store.documents.find(name, {}))
        known = {field.name for field in collection.fields}
        needed = {field.name for field in collection.fields if field.needed}
        assert needed <= set(document) <= known, name


def test_queries_know_every_scalar_of_a_label(store):
    fill(store)
    label = next(store.label_documents({}))
    scalars = {
        k
        for k, v in label.items()
        if not isinstance(v, dict | bytes) and k not in ("pbc", "schema", "energy")
    }
    assert scalars == set(FIELDS)


@pytest.mark.engines
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy": "low"}, "energy"),
        ({"phase": "plasma"}, "phase"),
        ({"elements": "Al"}, "elements"),
        ({"forces": [[0.0, 0.0, 0.0]]}, "forces"),
    ],
)
def test_the_server_refuses_what_does_not_fit(mongo_store, change, message):
    fill(mongo_store)
    document = {**next(mongo_store.label_documents({})), "_id": "lbl-wrong", **change}
    with pytest.raises(StoreError, match=message):
        mongo_store.documents.add("labels", [document])
    assert "lbl-wrong" not in {d["_id"] for d in mongo_store.label_documents({})}


def test_validators_name_every_needed_field():
    for name, collection in COLLECTIONS.items():
        schema = json_schema(name)
        assert set(schema["required"]) == {f.name for f in collection.fields if f.needed}


# ---------------------------------------------------------------- indexes


def documented_queries() -> set[str]:
    """Every query that README and docs show."""
    found = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"fw-nnp query [^`\n]+", text):
            words = shlex.split(line)
            if len(words) > 2 and not words[2].startswith("-") and "--optimade" not in words:
                found.add(words[2])
    rows = re.findall(r"^\| (`.*?) \| ", (ROOT / "docs/reference/query.md").read_text(), re.M)
    syntax = [cell for cell in rows if re.search(r"[=<> ]|`Al`", cell)]
    found |= {text for cell in syntax for text in re.findall(r"`([^`]+)`", cell)}
    return found | {"elements=Al phase=liquid max_force<5 code=espresso campaign=al-1", "code=vasp"}


def stages(plan: dict) -> set[str]:
    """Names of all stages of a query plan."""
    inner = [plan.get("inputStage", {}), plan.get("queryPlan", {}), *plan.get("inputStages", [])]
    return {plan.get("stage", "")}.union(*(stages(p) for p in inner if p))


@pytest.mark.engines
def test_every_documented_query_uses_an_index(mongo_store, launchpad):
    fill(mongo_store)
    queries = documented_queries()
    assert len(queries) >= 10
    for text in queries:
        for filter_ in (parse_query(text), mongo_store._indexed(parse_query(text))):
            plan = launchpad.db.labels.find(filter_).explain()["queryPlanner"]["winningPlan"]
            assert stages(plan) & {"IXSCAN", "IDHACK", "EOF"}, (text, plan)
            assert "COLLSCAN" not in stages(plan), (text, plan)


VALUES = {"integer": "4", "number": "1.5", "time": "2026-01-31"}


def conditions(field) -> list[str]:
    """Every kind of condition that the syntax has for a field."""
    value = VALUES.get(field.of) or (field.values[0] if field.values else "Al")
    operators = ["=", "!="] if field.of == "text" else ["=", "!=", "<", "<=", ">", ">="]
    return [f"{field.name}{operator}{value}" for operator in operators]


@pytest.mark.engines
def test_every_field_alone_and_with_others_uses_an_index(mongo_store, launchpad):
    fill(mongo_store)
    alone = [text for field in FIELDS.values() for text in conditions(field)]
    ranges = [
        f"{name}>-1 {name}<9" for name, field in FIELDS.items() if field.of in ("number", "integer")
    ]
    beside = [f"{text} {other}" for text in ("Al", "phase=liquid max_force<5") for other in alone]
    assert len(alone) > 60
    for text in [*alone, *ranges, *beside]:
        filter_ = parse_query(text)
        plan = launchpad.db.labels.find(filter_).explain()["queryPlanner"]["winningPlan"]
        assert stages(plan) & {"IXSCAN", "IDHACK", "EOF"}, (text, plan)
        assert "COLLSCAN" not in stages(plan), (text, plan)


HEADLINE = "elements=Al phase=liquid max_force<5 code=espresso campaign=a"


@pytest.mark.engines
def test_counting_what_is_indexed_together_looks_at_no_label(mongo_store, launchpad):
    """Whichever of the conditions are asked; all of them are one range of the index."""
    fill(mongo_store)
    more = block(40, numbers=28, theory=EAM, seed=1)
    mongo_store.add_blocks([more], campaign="b", purpose="training", sampler="made")
    conditions = HEADLINE.split()
    asked = [c for n in (1, 2, 3, 4, 5) for c in combinations(conditions, n)]
    for text in [*map(" ".join, asked), "phase=solid,liquid campaign=a max_force>0 max_force<9"]:
        filter_ = mongo_store._indexed(parse_query(text))
        command = {"count": "labels", "query": filter_}
        if index := counted_by(filter_):
            command["hint"] = dict.fromkeys(index, 1)
        plan = launchpad.db.command("explain", command, verbosity="executionStats")
        assert plan["executionStats"]["totalDocsExamined"] == 0, text
        assert plan["executionStats"]["executionSuccess"]
        plainly = launchpad.db.labels.count_documents(parse_query(text))
        assert mongo_store.count_labels(parse_query(text)) == plainly > 0
        if text == HEADLINE:
            assert "COUNT_SCAN" in stages(plan["queryPlanner"]["winningPlan"])
    assert mongo_store.count_labels(parse_query(HEADLINE)) == 20


@pytest.mark.engines
def test_a_database_that_lacks_the_index_counts_too(mongo_store, launchpad):
    fill(mongo_store)
    launchpad.db.labels.drop_index([(field, 1) for field in INDEXED_TOGETHER])
    assert mongo_store.count_labels(parse_query("phase=liquid max_force<50")) == 20


# ---------------------------------------------------------------- the page


def followed(page: str) -> dict:
    """What the block of a reference page leaves, run as it stands."""
    text = (ROOT / "docs/reference" / page).read_text(encoding="utf-8")
    (code,) = re.findall(r"```python mongo\n(.*?)```", text, re.DOTALL)
    found: dict = {}
    exec(compile(code, page, "exec"), found)
    return found


@pytest.mark.engines
def test_python_can_follow_the_page_of_queries(mongo_store, launchpad_file, monkeypatch):
    fill(mongo_store)
    monkeypatch.chdir(launchpad_file.parent)
    found = followed("query.md")
    assert found["n"] == 20
    assert found["forces"].shape == found["positions"].shape == (4, 3)
    liquid = [item.label.id for item in mongo_store.labels("Al phase=liquid")]
    same = mongo_store.labels({"phase": "liquid", "elements": "Al"})
    assert liquid == [item.label.id for item in same]
    assert len(liquid) == 20


@pytest.mark.engines
def test_a_plain_client_can_follow_the_page(mongo_store, launchpad_file, monkeypatch):
    fill(mongo_store)
    monkeypatch.chdir(launchpad_file.parent)
    found = followed("store.md")
    found["client"].close()
    assert found["n"] == 60
    assert found["forces"].shape == found["positions"].shape == (4, 3)
    assert found["numbers"] == [13] * 4
    assert found["theory"] == DFT.settings
    assert len(found["training"]) == found["version"]["counts"]["train"] > 0
    assert found["cell"].shape == (3, 3)
    assert found["by_phase"] == {"solid": 20, "interface": 20, "liquid": 20}
    assert found["file"] == b"weights"
