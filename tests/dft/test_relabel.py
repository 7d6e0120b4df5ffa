"""Many questions, several at a time: each answered once, failures filed, stops prompt."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fw_nnp.core.errors import EngineError, LabelError
from fw_nnp.core.records import Configuration, Label, LevelOfTheory, Quarantine
from fw_nnp.core.specs import EmpiricalSpec, PotentialSpec
from fw_nnp.dft import make_labeler, relabel, relabel_many
from fw_nnp.dft.custody import ProgramJob
from fw_nnp.dft.labeler import ProgramLabeler
from fw_nnp.potentials import make_potential

from .conftest import pair


class Scripted:
    """A labeler that does as told: fails on some, takes its time, counts who runs together."""

    theory = LevelOfTheory(code="scripted", settings={})

    def __init__(self, *, fail: set[str] = frozenset(), pause: float = 0.0, error=None) -> None:
        self.fail, self.pause, self.error = fail, pause, error
        self.asked: list[str] = []
        self.together = self.most = 0
        self.lock = threading.Lock()

    def label(self, configuration: Configuration, directory: Path, custody) -> Label:
        with self.lock:
            self.asked.append(configuration.id)
            self.together += 1
            self.most = max(self.most, self.together)
        directory.mkdir(parents=True)
        time.sleep(self.pause)
        with self.lock:
            self.together -= 1
        if self.error:
            raise self.error
        if configuration.id in self.fail:
            raise LabelError("as told", error_class="symmetry", evidence={"line": 7})
        return Label(configuration_id=configuration.id, theory_id=self.theory.id, energy=-1.0)


def pairs(n: int) -> list[Configuration]:
    return [pair(shift=0.01 * i) for i in range(n)]


def many(configurations, labeler, scratch, *, side_by_side=2, stop=lambda: False):
    return relabel_many(
        configurations,
        labeler,
        scratch,
        side_by_side=side_by_side,
        max_attempts=2,
        stop=stop,
    )


def test_every_question_gets_one_answer(tmp_path):
    asked = pairs(7)
    bad = asked[3].id
    answers = list(many([*asked, asked[0]], Scripted(fail={bad}), tmp_path))
    assert sorted(a.configuration_id for a in answers) == sorted(c.id for c in asked)
    (failure,) = [a for a in answers if isinstance(a, Quarantine)]
    assert (failure.configuration_id, failure.error_class) == (bad, "symmetry")
    assert failure.evidence["line"] == 7
    assert all(a.provenance["wall_s"] >= 0 for a in answers if isinstance(a, Label))


def test_scratch_goes_after_success_and_stays_after_failure(tmp_path):
    asked = pairs(3)
    list(many(asked, Scripted(fail={asked[1].id}), tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [asked[1].id]


@pytest.mark.parametrize("side_by_side", [1, 3])
def test_so_many_run_together(side_by_side, tmp_path):
    labeler = Scripted(pause=0.05)
    list(many(pairs(6), labeler, tmp_path, side_by_side=side_by_side))
    assert labeler.most == side_by_side


def test_answers_come_as_they_are_made(tmp_path):
    labeler = Scripted(pause=0.05)
    answers = many(pairs(6), labeler, tmp_path, side_by_side=1)
    next(answers)
    assert len(labeler.asked) < 4
    answers.close()
    assert labeler.together == 0


def test_a_stop_leaves_the_rest_unanswered(tmp_path):
    labeler = Scripted(pause=0.1)
    answers = list(many(pairs(50), labeler, tmp_path, stop=lambda: len(labeler.asked) > 3))
    assert 2 <= len(answers) < 10
    assert {a.configuration_id for a in answers} <= set(labeler.asked)


def test_nothing_to_do_is_done_at_once(tmp_path):
    assert list(many([], Scripted(), tmp_path)) == []


@pytest.mark.parametrize("error", [EngineError("no program"), ZeroDivisionError("a bug")])
def test_what_is_not_about_the_structure_is_raised(error, tmp_path):
    with pytest.raises(type(error)):
        list(many(pairs(5), Scripted(error=error), tmp_path))


class SlowReader(ProgramLabeler):
    """Programs that note when they run; reading their outputs takes as long as running them."""

    theory = LevelOfTheory(code="slow reader", settings={})

    def __init__(self) -> None:
        self.read_at: list[tuple[float, float]] = []
        self.ran_at: list[tuple[float, float]] = []

    def write(self, configuration: Configuration, directory: Path) -> None:
        directory.mkdir(parents=True)

    def job(self, directory: Path) -> ProgramJob:
        script = "echo started; date +%s.%N; sleep 0.2; date +%s.%N"
        return ProgramJob(
            ["sh", "-c", script], stdout="out", stderr="err", volatile=[], banner="started"
        )

    def handlers(self, job: ProgramJob) -> list:
        return []

    def read(self, configuration, directory, diagnosis=None) -> Label:
        began = time.time()
        time.sleep(0.2)
        _, first, last = (directory / "out").read_text().split()
        self.ran_at.append((float(first), float(last)))
        self.read_at.append((began, time.time()))
        return Label(configuration_id=configuration.id, theory_id=self.theory.id, energy=-1.0)


def test_a_core_does_not_wait_for_outputs_to_be_read(tmp_path):
    labeler = SlowReader()
    answers = list(many(pairs(5), labeler, tmp_path, side_by_side=1))
    assert len(answers) == 5
    assert all(a.provenance["wall_s"] > 0.2 for a in answers)
    runs = sorted(labeler.ran_at)
    assert all(first[1] <= second[0] for first, second in pairwise(runs))  # one at a time
    assert any(began < start < end for start, _ in runs for began, end in labeler.read_at)


# ---------------------------------------------------------------- geometry, before any program


def outcome(configuration, tmp_path):
    labeler = Scripted()
    answer = relabel(configuration, labeler, tmp_path / "x", max_attempts=1)
    return answer, labeler.asked


def test_overlapping_atoms_never_reach_the_program(tmp_path):
    cell = np.diag([5.0, 5.0, 5.0])
    close = Configuration(cell=cell, positions=[[0, 0, 0], [0, 0, 1.2]], numbers=[13, 13])
    answer, asked = outcome(close, tmp_path)
    assert (answer.error_class, asked) == ("geometry", [])
    assert "1.20 Å" in answer.reason


def test_overlap_with_a_periodic_image_counts(tmp_path):
    thin = Configuration(cell=np.diag([1.3, 5.0, 5.0]), positions=[[0, 0, 0]], numbers=[13])
    answer, asked = outcome(thin, tmp_path)
    assert (answer.error_class, asked) == ("geometry", [])


def test_a_flat_cell_is_no_cell(tmp_path):
    flat = Configuration(
        cell=[[4, 0, 0], [0, 4, 0], [4, 4, 0]], positions=[[0, 0, 0]], numbers=[13]
    )
    answer, asked = outcome(flat, tmp_path)
    assert (answer.error_class, asked) == ("geometry", [])


def test_the_limit_is_a_fraction_of_the_covalent_radii(tmp_path):
    # Al 1.21 Å, H 0.31 Å: Al-H at 1.0 Å is fine where Al-Al at 1.0 Å is not.
    cell = np.diag([5.0, 5.0, 5.0])
    hydride = Configuration(cell=cell, positions=[[0, 0, 0], [0, 0, 1.0]], numbers=[13, 1])
    answer, asked = outcome(hydride, tmp_path)
    assert isinstance(answer, Label)
    assert asked == [hydride.id]


def test_pw_needs_a_periodic_cell(labeler, tmp_path):
    slab = Configuration(
        cell=np.diag([3.0, 3.0, 9.0]), positions=[[0, 0, 0]], numbers=[13], pbc=(True, True, False)
    )
    answer = relabel(slab, labeler, tmp_path, max_attempts=1)
    assert answer.error_class == "geometry"
    assert "periodic" in answer.reason


def test_an_element_without_pseudopotential_is_quarantined(labeler, tmp_path):
    nickel = Configuration(cell=np.diag([3.0] * 3), positions=[[0, 0, 0]], numbers=[28])
    answer = relabel(nickel, labeler, tmp_path, max_attempts=1)
    assert (answer.error_class, "Ni" in answer.reason) == ("input", True)


# ---------------------------------------------------------------- the empirical stand-in


def test_an_empirical_potential_stands_in_for_dft(tmp_path):
    spec = EmpiricalSpec(code="empirical", potential=PotentialSpec(engine="emt", elements=["Al"]))
    potential = make_potential(spec.potential, lmp=[], base=tmp_path, potentials_dir=None)
    labeler = make_labeler(spec, programs={}, base=tmp_path, potential=potential)
    asked = pairs(4)
    answers = {a.configuration_id: a for a in many(asked, labeler, tmp_path)}
    for configuration in asked:
        (direct,) = potential.label([configuration], tmp_path)
        assert answers[configuration.id].energy == direct.energy
        np.testing.assert_array_equal(answers[configuration.id].forces, direct.forces)
        assert answers[configuration.id].theory_id == potential.theory.id
