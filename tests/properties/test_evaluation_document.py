"""The evaluation document survives JSON, and its summary has what the issue promises."""

import json

import numpy as np
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, Frame
from fw_nnp.properties import pool
from fw_nnp.properties.elastic import CubicProperties
from fw_nnp.properties.errors import Errors, Parity, Score, Scores
from fw_nnp.properties.evaluation import (
    Cost,
    Evaluation,
    History,
    LabelCounts,
    QuarantinedLabel,
    from_json,
    report_json,
    to_json,
)

SCORES = Scores(configurations=2, force_meV_A=Score(rmse=38.0, mae=29.0, count=12))

CUBIC = CubicProperties(
    a0=4.04, c11=110.0, c12=60.0, c44=32.0, bulk_modulus=77.0,
    energy_per_atom=-3.4, eos_residual=0.01, labels=("lbl-1",),
)  # fmt: skip


def small_evaluation():
    return Evaluation(
        campaign="al",
        created="2026-01-01T00:00:00+00:00",
        version="0.1.0",
        dataset_id="set-1",
        model_id="mdl-1",
        theory_id="thy-1",
        model_path="model.pt",
        theory={"code": "empirical"},
        labels=LabelCounts(total=3, by_phase={"solid": 3}, by_split={"train": 2, "test": 1}),
        test_errors={
            "potential": Errors(
                overall=SCORES,
                by_phase={"solid": SCORES},
                parity={"forces": Parity(reference=(0.1,), predicted=(0.2,), phase=("solid",))},
            )
        },
        quarantined=(
            QuarantinedLabel(configuration_id="cfg-1", error_class="geometry", reason="overlap"),
        ),
        properties={"dft": CUBIC},
        histories=(
            History(stage="a", labels="low", epoch=(1, 2), errors={"force_meV_A": (2.0, 1.0)}),
        ),
        costs={"relabel": Cost(wall_s=10.0, core_s=20.0, items=3, unit="label")},
    )


def test_document_survives_json():
    evaluation = small_evaluation()
    assert from_json(json.loads(json.dumps(to_json(evaluation)))) == evaluation


def test_summary_has_the_numbers_and_no_arrays():
    summary = report_json(small_evaluation())
    assert summary["test_errors"]["potential"]["force_meV_A"]["rmse"] == 38.0
    assert summary["test_errors"]["potential"]["by_phase"]["solid"]["force_meV_A"]["mae"] == 29.0
    assert summary["test_errors"]["potential"]["stress_GPa"] is None
    assert summary["properties"]["dft"]["C11_GPa"] == 110.0
    assert summary["costs"]["relabel"] == {"wall_s": 10.0, "core_s": 20.0, "items": 3}
    assert summary["quarantined"][0]["class"] == "geometry"
    assert "parity" not in json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 0}, "schema 0"),
        ({"labels": None}, "no evaluation"),
        ({"verdict": "good"}, "no evaluation"),
    ],
)
def test_other_documents_are_refused(change, message):
    with pytest.raises(SpecError, match=message):
        from_json({**to_json(small_evaluation()), **change})


def frame(i, phase):
    configuration = Configuration(cell=np.eye(3) * 2, positions=[[0.01 * i, 0, 0]], numbers=[13])
    return Frame(
        configuration=configuration, trajectory="trj-1", sampler="x", temperature=i, phase=phase
    )


def test_pool_keeps_every_selected_frame_and_counts_all(monkeypatch):
    monkeypatch.setattr(pool, "POOL_POINTS", 10)
    frames = [frame(i, "liquid" if i % 2 else "solid") for i in range(50)]
    selected = [frames[i].configuration.id for i in (3, 4, 49)]
    summary = pool.summarise_pool(frames, [-3.0] * 50, selected)
    assert summary.frames == {"solid": 25, "liquid": 25}
    assert summary.selected == {"liquid": 2, "solid": 1}
    assert len(summary.volume) == 13
    drawn = zip(summary.temperature, summary.chosen, strict=True)
    assert [t for t, chosen in drawn if chosen] == [3.0, 4.0, 49.0]
    assert set(summary.volume) == {8.0}
    with pytest.raises(SpecError, match="50 frames and 1 energies"):
        pool.summarise_pool(frames, [0.0], [])
