"""Spin-polarised nickel and iron with the real pw.x, on pseudopotentials that ld1.x makes here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from fw_nnp.core.records import Configuration, Label
from fw_nnp.core.specs import EspressoSpec
from fw_nnp.dft import make_labeler, relabel

from .conftest import DATA

pytestmark = pytest.mark.engines
FCC = 0.5 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
BCC = 0.5 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
# Rough, for moments to 20 %: nickel is norm-conserving, iron ultrasoft.
THEORIES = {
    "Ni": {"ecutwfc": "40 Ry", "k_spacing": 0.7},
    "Fe": {"ecutwfc": "25 Ry", "ecutrho": "200 Ry", "k_spacing": 0.6},
}


@pytest.fixture(scope="module")
def pseudos(pw: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pseudopotential of each metal, made by ld1.x in seconds."""
    folder = tmp_path_factory.mktemp("ld1")
    ld1 = [word.replace("pw.x", "ld1.x") for word in pw]
    for path in (DATA / "ld1").glob("*.ld1"):
        with path.open() as stream:
            try:
                subprocess.run(ld1, stdin=stream, cwd=folder, check=True, capture_output=True)
            except FileNotFoundError:
                pytest.skip("there is no ld1.x beside pw.x")
    return folder


def ferromagnet(element: str, cell: np.ndarray, pw: list[str], pseudos: Path, run: Path) -> Label:
    """The label of a one-atom cell that starts with a moment."""
    spec = EspressoSpec.model_validate(
        {
            "code": "espresso",
            "pseudo_dir": str(pseudos),
            "pseudopotentials": {element: f"{element}.pbe-test.UPF"},
            "degauss": "0.02 Ry",
            "k_shift": True,
            "conv_thr": 1e-7,
            "spin": True,
            "starting_magnetization": {element: 0.4},
            **THEORIES[element],
        }
    )
    number = {"Fe": 26, "Ni": 28}[element]
    atom = Configuration(cell=cell, positions=[[0, 0, 0]], numbers=[number])
    label = relabel(atom, make_labeler(spec, programs={"pw": pw}, base=Path()), run, max_attempts=2)
    assert isinstance(label, Label), label
    return label


@pytest.mark.parametrize(
    ("element", "cell", "moment"), [("Ni", 3.52 * FCC, 0.6), ("Fe", 2.87 * BCC, 2.2)]
)
def test_the_moment_of_a_ferromagnet_is_stored(element, cell, moment, pw, pseudos, tmp_path):
    label = ferromagnet(element, cell, pw, pseudos, tmp_path)
    assert label.provenance["magnetization"] == pytest.approx(moment, rel=0.2)
    assert label.provenance["absolute_magnetization"] >= label.provenance["magnetization"]
    assert "flags" not in label.provenance


def test_the_collapse_of_squeezed_iron_is_flagged(pw, pseudos, tmp_path):
    label = ferromagnet("Fe", 2.2 * BCC, pw, pseudos, tmp_path)
    assert label.provenance["magnetization"] == pytest.approx(0.0, abs=0.01)
    assert label.provenance["flags"] == ["nonmagnetic"]


def test_dft_u_raises_the_moment_of_iron(pw, pseudos, tmp_path, monkeypatch):
    """The HUBBARD card is read by pw.x, and does what U does."""
    plain = ferromagnet("Fe", 2.87 * BCC, pw, pseudos, tmp_path / "plain")
    monkeypatch.setitem(THEORIES, "Fe", {**THEORIES["Fe"], "hubbard": {"Fe-3d": "3 eV"}})
    with_u = ferromagnet("Fe", 2.87 * BCC, pw, pseudos, tmp_path / "u")
    assert with_u.theory_id != plain.theory_id
    assert with_u.provenance["magnetization"] > plain.provenance["magnetization"] + 0.1
