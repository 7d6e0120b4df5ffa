"""The accuracy benchmark: its marks can be missed, its commands print what they promise."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "benchmarks"))

from judging.marks import Mark, against, verdicts  # noqa: E402
from judging.mlearn_stress import describe  # noqa: E402
from judging.strained import elastic_of_labels  # noqa: E402
from judging.table import show_verdicts  # noqa: E402

from fw_nnp.core.errors import SpecError  # noqa: E402
from fw_nnp.core.records import Configuration, Label, LabelledConfiguration  # noqa: E402
from fw_nnp.core.units import GPA  # noqa: E402
from fw_nnp.exchange import load_description  # noqa: E402


def test_a_mark_passes_up_to_its_limit_and_not_beyond():
    assert Mark(name="x", unit="", value=0.5, limit=0.5).passed is True
    assert Mark(name="x", unit="", value=0.5, limit=0.5, strict=True).passed is False
    assert Mark(name="x", unit="", value=0.51, limit=0.5).passed is False
    assert Mark(name="x", unit="", value=math.nan, limit=0.5).passed is False
    assert Mark(name="x", unit="", value=9.0).passed is None


def test_errors_are_counted_to_either_side_and_in_per_cent():
    for value in (98.9, 101.1):
        assert against("c11", "GPa", value, 100.0, limit=1.0).passed is False
        assert against("c11", "GPa", value, 1000.0, limit=1.0).passed is False
    assert against("c11", "GPa", 468.0, 472.0, limit=1.0, percent=True).passed is True


def test_one_seed_that_misses_spoils_the_verdict():
    good, bad = (Mark(name="x", unit="", value=v, limit=1.0) for v in (0.9, 1.1))
    (verdict,) = verdicts([[good], [bad]])
    assert verdict.passed is False
    assert verdict.document()["mean"] == pytest.approx(1.0)
    assert verdicts([[good], [good]])[0].passed is True


def test_the_table_shows_mean_spread_and_largest_error_of_several_seeds(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")  # narrower than the table
    seeds = [[against("a0", "Å", value, 3.5, limit=0.2)] for value in (3.6, 3.9)]
    show_verdicts("two seeds", verdicts(seeds))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "a0" in line)
    assert line.split() == ["a0", "Å", "3.6", "3.9", "3.75", "0.3", "3.5", "0.4", "0.2", "missed"]


def strained_cube(row: int, column: int, size: float) -> LabelledConfiguration:
    """Eight bcc cubes of C11 = 400, C12 = 150, C44 = 100 GPa, each with a term in strain cubed."""
    strain = np.zeros((3, 3))
    strain[row, column] = size
    cube = size + 50.0 * size**3
    stress = np.zeros((3, 3))
    if row == column:
        stress[np.diag_indices(3)] = 150.0 * cube + 2.0
        stress[row, row] = 400.0 * cube + 2.0
    else:
        stress[row, column] = stress[column, row] = 100.0 * cube
    places = np.array([[x, y, z] for x in range(2) for y in range(2) for z in range(2)])
    scaled = np.concatenate([places, places + 0.5]) / 2.0
    cell = 6.4 * (np.eye(3) + strain)
    configuration = Configuration(cell=cell, positions=scaled @ cell, numbers=[42] * 16)
    label = Label(
        configuration_id=configuration.id, theory_id="thy-1", energy=0.0, stress=stress * GPA
    )
    return LabelledConfiguration(configuration=configuration, label=label)


def test_strained_cubes_tell_their_elastic_constants():
    sizes = (-0.04, -0.02, 0.02, 0.04)
    places = ((0, 0), (1, 1), (2, 2), (0, 1), (2, 0))
    cubes = [strained_cube(*place, size) for place in places for size in sizes]
    told = elastic_of_labels(cubes, 2)
    assert told == pytest.approx({"c11": 400.0, "c12": 150.0, "c44": 100.0}, rel=1e-4)
    one_size = elastic_of_labels([cube for i, cube in enumerate(cubes) if i % 4 in (1, 2)], 2)
    assert one_size["c11"] == pytest.approx(400.0 * (1.0 + 50.0 * 0.02**2), rel=1e-4)


def test_cubes_strained_to_one_side_only_tell_nothing():
    assert elastic_of_labels([strained_cube(0, 0, 0.02), strained_cube(1, 1, 0.04)], 2) == {}
    assert elastic_of_labels([strained_cube(0, 0, 0.0)], 2) == {}
    assert elastic_of_labels([strained_cube(0, 0, 0.02)], 4) == {}


@pytest.mark.skipif(not DATA.exists(), reason="third-party data are not here")
@pytest.mark.parametrize("element", ["Mo", "Li"])
def test_the_order_of_shear_stresses_is_found_from_the_file(element):
    """The shipped descriptions of these two were proved from elastic constants."""
    found = describe(DATA / "mlearn" / element / "training.json")
    shipped = load_description(ROOT / f"examples/descriptions/mlearn_{element.lower()}.yaml")
    assert found.stress == shipped.stress


@pytest.mark.skipif(not DATA.exists(), reason="third-party data are not here")
def test_a_file_without_sheared_crystals_is_refused(tmp_path):
    entries = json.loads((DATA / "mlearn/Mo/training.json").read_text())
    (tmp_path / "training.json").write_text(json.dumps(entries[:1]))
    with pytest.raises(SpecError, match="order of its shear stresses") as caught:
        describe(tmp_path / "training.json")
    assert "--description" in caught.value.remedy


@pytest.mark.skipif(not DATA.exists(), reason="third-party data are not here")
def test_molybdenum_is_trained_and_judged(capsys, tmp_path):
    from accuracy import main

    main(["mo", "--epochs", "1", "--threads", "1", "--out", str(tmp_path), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "mo.json").read_text())
    marks = {mark["name"]: mark for mark in document["marks"]}
    assert marks["energy MAE, GAP's"]["limit"] == 2.24
    assert marks["force MAE, goal"]["passed"] is False  # after one epoch
    assert marks["C11, error in %"]["truth"] == 472.0
    assert (tmp_path / "mo-1" / "model.pt").exists()
    (training,) = document["trainings"]
    assert training["training_configurations"] == 194  # every cell
    assert training["validation_configurations"] == 0


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="third-party data are not here")
def test_nickel_is_judged_by_the_potential_that_made_its_labels(lmp, capsys, tmp_path):
    from accuracy import main

    words = ["--epochs", "1", "--frames", "4", "--threads", "1", "--out", str(tmp_path), "--json"]
    main(["ni", *words])
    document = json.loads(capsys.readouterr().out)
    assert document["truth"]["a0"] == pytest.approx(3.5162, abs=2e-4)
    marks = {mark["name"]: mark for mark in document["marks"]}
    for name, value in (("C11 at 0.1 %", 240.1), ("C12 at 0.1 %", 157.1), ("C44 at 0.1 %", 123.5)):
        assert marks[name]["truth"] == pytest.approx(value, abs=0.2)
    assert marks["vacancy"]["truth"] == pytest.approx(1.919, abs=0.01)
    assert marks["bcc - fcc"]["truth"] == pytest.approx(43.0, abs=0.1)
    assert marks["hcp - fcc"]["truth"] == pytest.approx(13.5, abs=0.1)
