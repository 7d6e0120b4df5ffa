"""The pages made from the code are up to date, complete, and their links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from fw_nnp.core.specs import CampaignSpec
from fw_nnp.core.units import _DIMENSIONS
from fw_nnp.store.query import parse_query
from fw_nnp.store.schema import FIELDS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def _load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _load(DOCS / "generate.py")


@pytest.mark.parametrize("name", generate.PAGES)
def test_page_is_up_to_date(name):
    committed = (generate.REFERENCE / name).read_text(encoding="utf-8")
    assert committed == generate.MADE + generate.PAGES[name](), "run: python docs/generate.py"


def test_every_key_of_a_campaign_is_in_its_page():
    page = generate.campaign()
    schema = CampaignSpec.model_json_schema()
    for definition in [schema, *schema["$defs"].values()]:
        for key in definition["properties"]:
            assert f"| `{key}` |" in page


def test_every_example_query_is_valid():
    examples = re.findall(r"^\| (`.*?) \|", generate.QUERY_SYNTAX, flags=re.MULTILINE)
    texts = [text for cell in examples for text in re.findall(r"`([^`]+)`", cell)]
    assert len(texts) >= 6
    for text in texts:
        assert parse_query(text)
    assert parse_query(re.search(r"```json\n(.*?)```", generate.QUERY_SYNTAX, re.DOTALL)[1])
    assert all(f"`{name}`" in generate.query() for name in FIELDS)


def test_the_units_page_lists_every_unit():
    rows = dict(re.findall(r"^\| ([a-z ]+) \| (.*) \|$", (DOCS / "units.md").read_text(), re.M))
    for dimension, units in _DIMENSIONS.items():
        assert rows[dimension].removesuffix(" (2π included)").split(", ") == list(units)


def anchors(page: Path) -> set[str]:
    """Anchors of a page as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(DOCS)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(found), f"{page}: {target}"


def test_every_page_is_in_the_index():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in PAGES:
        if page.name != "index.md":
            assert f"({page.relative_to(DOCS)})" in index
