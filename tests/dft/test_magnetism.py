"""Moments go with the label; a magnetic start that collapses is flagged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fw_nnp.dft import make_labeler

from .conftest import espresso, pair

XML = "out/fw.save/data-file-schema.xml"


def with_moments(total: float, absolute: float):
    block = (
        f"<magnetization><lsda>true</lsda><noncolin>false</noncolin>"
        f"<total>{total}</total><absolute>{absolute}</absolute></magnetization>"
    )
    return lambda text: re.sub(r"<magnetization>.*?</magnetization>", block, text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("total", "absolute", "flags"),
    [(1.3, 1.4, None), (0.0, 1.4, None), (0.0, 0.01, ["nonmagnetic"])],
    ids=["ferromagnet", "antiferromagnet", "collapsed"],
)
def test_moments_are_stored_and_a_collapse_is_flagged(total, absolute, flags, recorded):
    directory = recorded("good")
    path = directory / XML
    text = path.read_text()
    path.write_text(with_moments(total, absolute)(text))
    assert path.read_text() != text
    spec = espresso(spin=True, starting_magnetization={"Al": 0.5})
    label = make_labeler(spec, programs={"pw": ["no"]}, base=Path()).read(pair(), directory)
    assert label.provenance["magnetization"] == total
    assert label.provenance["absolute_magnetization"] == absolute
    assert label.provenance.get("flags") == flags
