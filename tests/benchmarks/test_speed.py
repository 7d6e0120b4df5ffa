"""The speed benchmarks keep their protocol and count right; no time is asserted."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from peers.install import REQUIREMENTS
from peers.work import Cells, write_extxyz
from rich.console import Console
from speed import contestants, goals, report
from speed.cells import make_cells
from speed.command import run
from speed.goals import Goal, judge
from speed.rounds import compared, steps_for
from speed.worker import Contestant, Turn, Worker, WorkerError

QUICK = ["--cells", "32", "--rounds", "2", "--turn", "0.01", "--threads", "1", "--json"]


@pytest.fixture(scope="module")
def cells() -> Cells:
    return make_cells(32, count=2, batch_size=2)


def test_our_own_worker(tmp_path, capsys):
    """Of the others, one is asked for and is not installed."""
    arguments = [*QUICK, "--folder", str(tmp_path), "--only", "torchani"]
    document = run("training speed", contestants.TRAINING, goals.TRAINING, arguments)
    (row,) = document["rows"]
    assert row["name"] == contestants.OURS
    assert row["ratio"] == 1.0
    assert row["us_per_atom_lowest"] <= row["us_per_atom"] <= row["us_per_atom_highest"]
    assert 0 < row["stored_kb_per_atom"] <= 1.5, "what the default keeps of a cell"
    assert row["core_ratio"] == 1.0
    assert row["parameters"] > 0
    assert row["memory_mb"] > 50
    assert row["start_s"] > 0
    assert document["absent"] == [{"name": "torchani", "why": "not installed"}]
    assert document["cells"] == {"count": 8, "atoms": 32, "cutoff": 6.0, "batch_size": 4}
    assert [g["met"] for g in document["goals"] if "torchani" in g["goal"]] == [None]
    assert capsys.readouterr().out.startswith("{")

    shown = io.StringIO()
    report.show(document, Console(file=shown, width=report.WIDTH))
    for text in ("fw_nnp", "not installed", "not measured", "8 x 32 Al atoms"):
        assert text in shown.getvalue()


@pytest.mark.parametrize("task", ["inference", "ase"])
def test_our_other_tasks(task, cells, tmp_path):
    cells.save(tmp_path / "cells.npz")
    contestant = Contestant("ours", "ours", task, None)
    worker = Worker(contestant, tmp_path / "cells.npz", threads=1, environments=tmp_path)
    try:
        turn = worker.steps(3)
        assert turn.seconds > 0
        assert turn.core_seconds > 0
        assert worker.about["atoms_per_step"] == 64
        assert "neighbour list" in worker.about["computes"]
    finally:
        worker.close()


def test_a_worker_that_fails_says_why(cells, tmp_path):
    cells.save(tmp_path / "cells.npz")
    contestant = Contestant("bad", "nobody", "training", None)
    with pytest.raises(WorkerError, match=r"No module named 'peers.nobody'"):
        Worker(contestant, tmp_path / "cells.npz", threads=1, environments=tmp_path)


# ---------------------------------------------------------------- counting


def test_ratios_are_taken_within_a_round():
    """The machine was busy in the second round; who was slower is the same in all."""
    ours = [Turn(1.0, 2.0), Turn(10.0, 2.0), Turn(1.0, 4.0)]
    theirs = [Turn(3.0, 6.0), Turn(30.0, 6.0), Turn(4.0, 20.0)]
    found = compared(theirs, ours)
    assert found["us_per_atom"] == 4.0
    assert (found["us_per_atom_lowest"], found["us_per_atom_highest"]) == (3.0, 30.0)
    assert found["ratio"] == 3.0
    assert (found["core_us_per_atom"], found["core_ratio"]) == (6.0, 3.0)


@pytest.mark.parametrize(("seconds", "steps"), [(0.1, 10), (5.0, 3), (1e-5, 50)])
def test_a_turn_has_a_few_steps(seconds, steps):
    assert steps_for(1.0, seconds) == steps


def test_goals_are_judged():
    wanted = [
        Goal("fast", "us", "us_per_atom", at_most=20.0),
        Goal("faster", "them", "ratio", at_least=4.0),
        Goal("than others", "others", "ratio", at_least=4.0),
    ]
    rows = [{"name": "us", "us_per_atom": 20.0}, {"name": "them", "ratio": 3.9}]
    verdicts = [(g["value"], g["met"]) for g in judge(wanted, rows)]
    assert verdicts == [(20.0, True), (3.9, False), (None, None)]


def test_every_goal_has_a_row():
    for rows, wanted in (
        (contestants.TRAINING, goals.TRAINING),
        (contestants.INFERENCE, goals.INFERENCE),
    ):
        assert {goal.row for goal in wanted} <= {c.name for c in rows}


def test_every_contestant_can_be_installed_and_is_explained():
    readme = (Path(__file__).parents[2] / "benchmarks/README.md").read_text(encoding="utf-8")
    for contestant in (*contestants.TRAINING, *contestants.INFERENCE):
        assert contestant.environment in (None, *REQUIREMENTS)
        assert contestant.name in readme


# ---------------------------------------------------------------- cells


def test_cells_survive_the_file(cells, tmp_path):
    cells.save(tmp_path / "cells.npz")
    found = Cells.load(tmp_path / "cells.npz")
    assert (found.cutoff, found.batch_size) == (6.0, 2)
    for name in ("cell", "positions", "numbers", "energy", "forces", "stress"):
        assert np.array_equal(getattr(found, name), getattr(cells, name))
    assert [list(batch) for batch in found.batches()] == [[0, 1]]


def test_others_read_the_same_labels(cells, tmp_path):
    write_extxyz(cells, tmp_path / "cells.xyz")
    for atoms, i in zip(read(tmp_path / "cells.xyz", ":"), range(len(cells)), strict=True):
        for given in (atoms, cells.atoms()[i]):
            assert given.get_potential_energy() == pytest.approx(cells.energy[i])
            assert np.allclose(given.get_forces(), cells.forces[i], atol=1e-7)
            assert np.allclose(given.get_stress(voigt=False), cells.stress[i], atol=1e-8)
            assert np.allclose(given.positions, cells.positions[i], atol=1e-7)


def test_no_cube_has_100_atoms():
    with pytest.raises(ValueError, match="no fcc cube has 100 atoms"):
        make_cells(100, count=1, batch_size=1)
