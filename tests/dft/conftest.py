"""Small aluminium cells and cheap theories; recorded outputs of a real pw.x 7.2."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from campaigns import COARSE_PW

from fw_nnp.core.records import Configuration
from fw_nnp.core.specs import EspressoSpec
from fw_nnp.dft import Labeler, make_labeler

DATA = Path(__file__).parent / "data"
THEORY = {**COARSE_PW, "bands": 1.6}  # of the recorded outputs


def espresso(**changes: object) -> EspressoSpec:
    """The cheap theory of these tests with keys changed."""
    return EspressoSpec.model_validate({**THEORY, **changes})


def pair(shift: float = 0.0, strain: np.ndarray | None = None) -> Configuration:
    """Two atoms of Al in a low-symmetry cell; atom 1 moved by `shift` Å along y.

    The recorded outputs are about ``pair()``.
    """
    deform = np.eye(3) if strain is None else np.eye(3) + strain
    positions = np.array([[0.056, 0.0, 0.041], [1.4, 1.508 + shift, 1.927]])
    return Configuration(
        cell=np.diag([2.8, 2.9, 4.1]) @ deform, positions=positions @ deform, numbers=[13, 13]
    )


@pytest.fixture
def recorded(tmp_path: Path):
    """Copy recorded outputs (``good``, ``not_converged``) to where a labeler looks for them."""

    def place(name: str) -> Path:
        directory = tmp_path / name
        save = directory / "out" / "fw.save"
        save.mkdir(parents=True)
        for file in ("pw.in", "pw.out"):
            shutil.copy(DATA / name / file, directory)
        shutil.copy(DATA / name / "data-file-schema.xml", save)
        return directory

    return place


@pytest.fixture
def labeler() -> Labeler:
    """A labeler whose program must not be needed."""
    return make_labeler(espresso(), programs={"pw": ["no-such-pw.x"]}, base=Path())


@pytest.fixture
def real(pw: list[str]):
    """Make labelers around the real pw.x."""

    def make(**changes: object) -> Labeler:
        return make_labeler(espresso(**changes), programs={"pw": pw}, base=Path())

    return make
