"""Kinds of models are known when a file is read, not when a GPU is waiting."""

from __future__ import annotations

import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import AniSpec, FileTrainSpec, ModelSpec
from fw_nnp.nnp.models import MODELS


def test_a_misspelt_kind_is_refused_where_it_stands():
    with pytest.raises(SpecError, match=r"unknown kind 'momenst' \(did you mean 'moments'"):
        parse(FileTrainSpec, {"model": {"kind": "momenst"}}, place="train.yaml")


def test_every_registered_kind_and_plug_ins_are_taken():
    for kind in MODELS:
        spec = parse(FileTrainSpec, {"model": {"kind": kind}}, place="train.yaml").model
        assert spec.kind == kind
        assert isinstance(spec, AniSpec if kind == "ani" else ModelSpec)
    plug_in = parse(FileTrainSpec, {"model": {"kind": "mine.models:Mine"}}, place="train.yaml")
    assert plug_in.model.kind == "mine.models:Mine"
