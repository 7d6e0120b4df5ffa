"""Molecular dynamics: exact labels on the way, temperature, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from fw_nnp.core.units import GPA
from fw_nnp.potentials import Segment

from .conftest import moved, rattled

SCHEDULE = [
    Segment(steps=20, t_start=600.0, t_end=600.0),
    Segment(steps=25, t_start=600.0, t_end=900.0),
]
SETTINGS = {"timestep": 2.0, "every": 10, "pressure": 0.0, "seed": 7}


def test_the_labels_on_the_way_are_those_of_label(potential, tmp_path):
    tilted = moved(rattled(), np.array([[1.0, 0.0, 0.0], [0.1, 1.0, 0.05], [0.0, -0.1, -1.0]]))
    snapshots = potential.run_md(tilted, SCHEDULE, directory=tmp_path / "md", **SETTINGS)
    again = potential.label([s.configuration for s in snapshots], tmp_path / "labels")
    for snapshot, label in zip(snapshots, again, strict=True):
        assert snapshot.label.id == label.id
        np.testing.assert_allclose(snapshot.label.energy, label.energy, atol=1e-10)
        np.testing.assert_allclose(snapshot.label.forces, label.forces, atol=1e-10)
        np.testing.assert_allclose(snapshot.label.stress, label.stress, atol=1e-10)


def test_every_tenth_step_is_kept_but_not_the_start(potential, tmp_path):
    snapshots = potential.run_md(rattled(), SCHEDULE, directory=tmp_path, **SETTINGS)
    assert [s.step for s in snapshots] == [10, 20, 30, 40]
    assert [s.time for s in snapshots] == [20.0, 40.0, 60.0, 80.0]
    assert all(s.temperature > 0.0 for s in snapshots)


def test_equal_seeds_give_equal_trajectories_and_others_do_not(potential, tmp_path):
    def ids(seed):
        settings = {**SETTINGS, "seed": seed}
        return [
            s.configuration.id
            for s in potential.run_md(rattled(), SCHEDULE, directory=tmp_path, **settings)
        ]

    assert ids(7) == ids(7)
    assert set(ids(7)).isdisjoint(ids(8))


@pytest.mark.engines
def test_npt_reaches_temperature_and_pressure(eam, tmp_path):
    snapshots = eam.run_md(
        rattled((2, 2, 2)),
        [Segment(steps=6000, t_start=500.0, t_end=500.0)],
        **{**SETTINGS, "pressure": 5.0 * GPA},
        directory=tmp_path,
    )[100:]
    temperature = np.mean([s.temperature for s in snapshots])
    volume = np.mean([s.configuration.volume for s in snapshots]) / 32
    static = np.mean([np.trace(s.label.stress) / 3 for s in snapshots])
    kinetic = 1.5 * 8.617e-5 * temperature * 2 / 3 / volume  # N k T / V
    assert temperature == pytest.approx(500.0, rel=0.05)
    assert (kinetic - static) / GPA == pytest.approx(5.0, abs=0.5)
    shape = snapshots[-1].configuration.cell
    np.testing.assert_allclose(shape / shape[0, 0], np.eye(3), atol=1e-9)
