"""The page: valid, complete, self-contained, safe against hostile names, honest when worse."""

import dataclasses
import os
import re
from html.parser import HTMLParser

import pytest

from fw_nnp.report import page
from fw_nnp.report.page import duration, flat, render, write_report
from fw_nnp.report.verdict import headline, ratio_in_words, remarks

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Checked(HTMLParser):
    """Collects the text and every attribute; tags must close in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html(evaluation):
    return render(evaluation)


def test_page_is_well_formed_with_unique_ids(html):
    found = Checked(html)
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {v[1:] for n, v in found.attributes if n == "href" and v.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]+)\)", html))
    assert targets <= set(ids)


def test_page_has_the_numbers(html, evaluation):
    text = Checked(html).text
    force = evaluation.test_errors["potential"].overall.force_meV_A.rmse
    assert f"Force error against DFT on 24 held-out frames: {force:.1f} meV/Å" in text
    for number in ("4.0405", "112.4", "−2.3 %", "3.4 % (C₄₄)", "1,840 labels", "6 min 42 s"):
        assert number in text
    for word in ("geometry", "Atoms 3 and 17 are 0.91 Å apart", evaluation.dataset_id, "ecutwfc"):
        assert word in text
    assert "load_calculator('al_quickstart/model.pt')" in text


def test_page_needs_no_network_and_no_scripts(html):
    found = Checked(html)
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    loaded = [v for n, v in found.attributes if n in ("src", "href", "xlink:href", "srcset")]
    assert all(v.startswith(("#", "data:")) for v in loaded)
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html


def test_hostile_names_are_text(evaluation):
    attack = "<script>alert('x')</script>"
    quarantined = dataclasses.replace(evaluation.quarantined[0], reason=attack)
    history = dataclasses.replace(evaluation.histories[0], stage=attack)
    html = render(
        dataclasses.replace(
            evaluation,
            campaign=attack,
            description=attack,
            empirical=attack,
            pool=None,
            model_path=attack,
            quarantined=(quarantined,),
            histories=(history,),
            property_failures={attack: attack},
            costs={attack: next(iter(evaluation.costs.values()))},
            settings={attack: attack},
        )
    )
    assert "<script" not in html
    assert "script" not in Checked(html).tags
    assert attack in Checked(html).text


@pytest.fixture(scope="module")
def bare(evaluation):
    """An evaluation with nothing to draw."""
    return dataclasses.replace(
        evaluation,
        test_errors={},
        stage_errors={},
        energy_shift={},
        properties={},
        property_failures={"potential": "no minimum between 3.9 and 4.2 Å"},
        histories=(),
        costs={},
        pool=None,
        quarantined=(),
        settings={},
        description="",
    )


def test_missing_parts_still_make_a_page(bare):
    text = Checked(render(bare)).text
    assert "nothing is proved" in text
    assert "No lattice and elastic constants of potential: no minimum" in text
    assert "Every selected structure has its label." in text


def test_verdict_is_honest_when_the_network_is_worse(evaluation):
    errors = evaluation.test_errors
    swapped = dataclasses.replace(
        evaluation, test_errors={"potential": errors["eam"], "eam": errors["potential"]}
    )
    assert "times smaller" in headline(evaluation)
    assert "does not beat it: its error is 4.3 times larger" in headline(swapped)
    alone = dataclasses.replace(evaluation, test_errors={"potential": errors["potential"]})
    assert headline(alone).endswith("meV/Å.")


def test_unstable_crystals_are_called_unstable(evaluation):
    soft = dataclasses.replace(evaluation.properties["potential"], c44=-3.0)
    properties = {**evaluation.properties, "potential": soft}
    sentences = remarks(dataclasses.replace(evaluation, properties=properties))
    assert "With the network the crystal is mechanically unstable." in sentences


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (38.0, 164.0, "4.3 times smaller"),
        (30.0, 20.0, "1.5 times larger"),
        (1.0, 1.02, "about the same"),
        (0.0, 1.0, "smaller"),
        (1.0, 0.0, "larger"),
        (0.0, 0.0, "about the same"),
    ],
)
def test_ratios_in_words(ours, theirs, words):
    assert ratio_in_words(ours, theirs) == words


def test_random_splits_are_admitted(bare, html):
    split = dataclasses.replace(bare, settings={"dataset": {"split_by": "random"}})
    assert "which flatters the errors" in Checked(render(split)).text
    assert "which flatters the errors" not in Checked(html).text
    split = dataclasses.replace(bare, settings={"dataset": {"split_by": "near_duplicates"}})
    assert "No test label is nearly equal" in Checked(render(split)).text


def test_report_replaces_the_old_page_whole_or_not_at_all(bare, tmp_path, monkeypatch):
    path = write_report(bare, tmp_path / "new")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert os.listdir(path.parent) == ["report.html"]

    def broken(_):
        raise OSError("No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(page, "render", broken)
    with pytest.raises(OSError, match="No space"):
        write_report(bare, path.parent)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["report.html"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (0.022, "22 ms"), (41.2, "41.2 s"), (402.0, "6 min 42 s"), (12240.0, "3.4 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_nested_settings_become_rows():
    settings = {"a": {"b": 1, "empty": ""}, "list": [1, 2], "stages": [{"name": "x"}], "none": None}
    assert list(flat(settings)) == [("a.b", "1"), ("list", "1, 2"), ("stages.1.name", "x")]
