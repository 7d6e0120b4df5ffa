"""The whole campaign on stand-ins, in memory: same plan, same functions, under a minute."""

from __future__ import annotations

from pathlib import Path

import pytest
import stand_ins

from fw_nnp.core.errors import FwNnpError
from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.firetasks.inline import run_inline
from fw_nnp.firetasks.report import export_report, stored_evaluation
from fw_nnp.properties.evaluation import report_json
from fw_nnp.store.memory import MemoryDocuments
from fw_nnp.store.store import Store


def run(tmp_path: Path, changes: dict | None = None) -> tuple[Store, list[str], CampaignSpec]:
    spec = parse(CampaignSpec, merged(stand_ins.campaign(), changes or {}), place="test")
    store = Store(MemoryDocuments())
    env = {"scratch": str(tmp_path / "scratch"), "results": str(tmp_path / "results")}
    return store, run_inline(spec, store, base=tmp_path, env=env), spec


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[str], Path]:
    """One campaign with a structure whose atoms overlap, run to its end."""
    tmp_path = tmp_path_factory.mktemp("campaign")
    stand_ins.write_overlapping(tmp_path / "given.xyz")
    protocols = stand_ins.campaign()["sample"]["protocols"]
    given = {"kind": "import", "file": "given.xyz", "always": True}
    *stages, last = stand_ins.campaign()["train"]["stages"]
    changes = {
        "sample": {"protocols": [*protocols, given]},
        "train": {"stages": [*stages, {**last, "preset": "gentle", "replay": {}}]},
    }
    store, ran, _ = run(tmp_path, changes)
    return store, ran, tmp_path


def test_every_step_ran_once_and_in_order(campaign: tuple[Store, list[str], Path]) -> None:
    _, ran, _ = campaign
    assert ran[0] == "plan"
    assert len(ran) == len(set(ran))
    chain = ["select", "train-pretrain", "collect", "train-transfer", "train-finetune"]
    positions = [ran.index(key) for key in [*chain, "evaluate", "report"]]
    assert positions == sorted(positions)


def test_the_stage_that_replays_names_what_it_replayed(
    campaign: tuple[Store, list[str], Path],
) -> None:
    store, _, _ = campaign
    results = {step["key"]: step["result"] for step in store.steps("stand-in")}
    tuned = store.model(results["train-finetune"]["model"])
    assert tuned["replay"] == results["train-pretrain"]["source"]
    assert tuned["training"]["learning_rates"]["radial.*"] < 1.0
    assert "replay" not in store.model(results["train-transfer"]["model"])


def test_the_overlapping_structure_is_in_quarantine_with_its_reason(
    campaign: tuple[Store, list[str], Path],
) -> None:
    store, _, _ = campaign
    (failure,) = store.quarantined({"campaign": "stand-in"})
    assert failure["error_class"] == "geometry"
    assert "0.40 Å apart" in failure["reason"]
    counts = store.dataset("stand-in")["counts"]
    selected = next(s for s in store.steps("stand-in") if s["key"] == "select")["result"]
    assert sum(counts.values()) == selected["n_selected"] - 1


def test_no_trajectory_is_in_two_parts(campaign: tuple[Store, list[str], Path]) -> None:
    store, _, _ = campaign
    dataset = store.dataset("stand-in")["_id"]
    parts = [
        {item.trajectory for item in store.dataset_part(dataset, part)}
        for part in ("train", "validation", "test")
    ]
    assert all(parts)
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]


def test_the_potential_beats_the_empirical_one(campaign: tuple[Store, list[str], Path]) -> None:
    store, _, _ = campaign
    numbers = report_json(stored_evaluation(store, "stand-in"))
    errors = numbers["test_errors"]
    ours, cheap = (errors[m]["force_meV_A"]["rmse"] for m in ("potential", "eam"))
    assert cheap > 0
    assert ours < cheap
    dft, eam = numbers["properties"]["dft"], numbers["properties"]["eam"]
    assert dft["C11_GPa"] == pytest.approx(stand_ins.SCALE * eam["C11_GPa"], rel=1e-3)
    assert set(numbers["costs"]) >= {"sample", "relabel", "pretrain", "finetune", "evaluate"}


def test_report_and_model_are_written(campaign: tuple[Store, list[str], Path]) -> None:
    from fw_nnp.nnp import load_calculator

    store, _, tmp_path = campaign
    assert (tmp_path / "results" / "stand-in" / "report.html").exists()
    page, model = export_report(store, "stand-in", tmp_path / "again")
    assert "stand-in" in page.read_text()
    assert load_calculator(model).get_property is not None


def test_a_gate_that_cannot_open_stops_with_numbers(tmp_path: Path) -> None:
    changes = {"relabel": {"min_distance": 0.99}}  # nearly every hot frame is refused
    with pytest.raises(FwNnpError, match="gate stays closed"):
        run(tmp_path, changes)
