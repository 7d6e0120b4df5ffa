"""The benchmark on other metals: what it compares with is the EAM that made the labels."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "benchmarks"))
needs_data = pytest.mark.skipif(not DATA.exists(), reason="no ../shared/data")

import other_metals  # noqa: E402

from fw_nnp.core.errors import FwNnpError  # noqa: E402


@needs_data
def test_copper_is_that_of_its_eam_and_a_potential_is_compared_with_it():
    few = ["--cells", "60", "--epochs", "20", "--model", "{members: 1}"]
    document = other_metals.main(["--metals", "Cu", *few, "--json"])
    truth = document["truth"]["Cu"]
    assert 0.0 < truth["hcp - fcc"] < truth["bcc - fcc"]
    # of this file by LAMMPS alone
    assert truth["C11"] == pytest.approx(170.0, abs=0.5)
    assert truth["C12"] == pytest.approx(122.7, abs=0.5)
    assert truth["C44"] == pytest.approx(76.2, abs=0.5)
    (row,) = document["rows"]
    assert 1.0 < abs(row["C11"]) < 100.0  # few cells and epochs: neither right nor nonsense
    assert 10.0 < row["force_meV_A, validation"] < 1000.0


def test_a_potential_that_knows_no_crystal_makes_a_row_of_its_own(monkeypatch, capsys):
    def lost(*_):
        raise FwNnpError("the energies of fcc Cu have no minimum")

    monkeypatch.setattr(other_metals, "properties", lost)
    assert other_metals.properties_of("Cu", Path("model.pt")) == {}
    assert "no minimum" in capsys.readouterr().err


@needs_data
def test_a_scaled_cell_has_the_other_metal_at_its_own_distances():
    item = other_metals.nickel_parts(DATA, 40).training[0]
    old, new = item.configuration, other_metals.scaled(item.configuration, "Al")
    assert set(new.symbols) == {"Al"}
    assert new.volume / old.volume == pytest.approx((4.0453 / 3.5162) ** 3)
    assert new.positions @ old.cell == pytest.approx(old.positions @ new.cell)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metals", "Xx"], "Xx"),
        (["--stage", "energy"], "{KEY: VALUE}"),
        (["--stage", "{wieghts: {energy: 200}}"], "wieghts"),
        (["--model", "{n_basis: -1}"], "n_basis"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_training(arguments, said, capsys):
    with pytest.raises(SystemExit):
        other_metals.main(arguments)
    assert said in capsys.readouterr().err
