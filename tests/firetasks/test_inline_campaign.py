"""The whole campaign on stand-ins, in memory: same plan, same functions, under a minute."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import stand_ins
from ase import Atoms
from ase.build import bulk
from ase.io import write

from fw_nnp.core.errors import FwNnpError, NotFound
from fw_nnp.core.near_duplicates import near_duplicate_groups
from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.records import label_id
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.core.splits import PARTS
from fw_nnp.firetasks.inline import run_inline
from fw_nnp.firetasks.report import export_report, stored_evaluation
from fw_nnp.properties.evaluation import report_json
from fw_nnp.store.card import model_card
from fw_nnp.store.memory import MemoryDocuments
from fw_nnp.store.provenance import impact, trace
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


def test_near_duplicates_are_in_one_part_if_the_split_says_so(tmp_path: Path) -> None:
    """Two of each three are labelled; pre-training sees no third of a held-out pair."""
    copies: list[list[Atoms]] = [[], [], []]
    for seed in range(8):
        atoms = bulk("Al", a=4.05, cubic=True)
        atoms.rattle(0.1, seed=seed)
        for number, kept in enumerate(copies):
            kept.append(atoms.copy())
            kept[-1].rattle(0.002, seed=100 + 3 * seed + number)
    write(tmp_path / "labelled.xyz", copies[0] + copies[1])
    write(tmp_path / "pool.xyz", copies[2])
    given = {"kind": "import", "file": "labelled.xyz", "always": True}
    changes = {
        "sample": {"protocols": [given, {"kind": "import", "file": "pool.xyz"}]},
        "select": {"phases": {"solid": 0, "interface": 0, "liquid": 0}},
        "dataset": {"split_by": "near_duplicates"},
        "train": {"stages": [{"name": "pretrain", "labels": "low", "epochs": 1}]},
    }
    store, _, _ = run(tmp_path, changes)
    dataset = store.dataset("stand-in")["_id"]
    held = {
        part: [item.configuration for item in store.dataset_part(dataset, part)] for part in PARTS
    }
    assert sorted(map(len, held.values())) == [4, 4, 8]
    owner = [part for part, cells in held.items() for _ in cells]
    groups = near_duplicate_groups([cell for cells in held.values() for cell in cells])
    assert len(set(groups)) == len(set(zip(groups, owner, strict=True))) == 8
    pool = store.dataset("stand-in-pool")["_id"]
    taught = [item.configuration for item in store.dataset_part(pool, "train")]
    assert len(taught) == 12
    assert len(set(near_duplicate_groups([*taught, *held["train"]]))) == 4


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


def test_a_structure_that_is_none_is_in_quarantine_and_counts(tmp_path: Path) -> None:
    cells = []
    for seed in range(5):
        cells.append(bulk("Al", a=4.05, cubic=True))
        cells[-1].rattle(0.1, seed=seed)
    for broken in (1, 3):
        cells[broken].positions[0, 2] = np.nan
    write(tmp_path / "given.xyz", cells)
    given = {"kind": "import", "file": "given.xyz", "always": True}
    changes = {"sample": {"protocols": [given]}, "dataset": {"split_by": "random"}}
    store, env = Store(MemoryDocuments()), {"scratch": str(tmp_path / "scratch")}
    spec = parse(CampaignSpec, merged(stand_ins.campaign(), changes), place="test")
    with pytest.raises(FwNnpError, match="only 3 of 5 structures"):
        run_inline(spec, store, base=tmp_path, env=env)
    failed = store.quarantined({"campaign": "stand-in"})
    assert {one["error_class"] for one in failed} == {"geometry"}
    reasons = sorted(one["reason"] for one in failed)
    assert [reason.split(" is ")[0] for reason in reasons] == [
        "frame 1 of given.xyz",
        "frame 3 of given.xyz",
    ]
    assert all("NaN" in reason for reason in reasons)


# ---------------------------------------------------------------- provenance


def below(tree: dict, kind: str) -> list[dict]:
    """All nodes of a kind in a tree, whichever way it grows."""
    children = [*tree.get("from", ()), *tree.get("to", ())]
    mine = [tree] if tree["kind"] == kind else []
    return mine + [node for child in children for node in below(child, kind)]


def test_a_model_is_traced_down_to_the_potential(campaign: tuple[Store, list[str], Path]) -> None:
    store, _, _ = campaign
    tree = trace(store, "stand-in")
    stages = [node["facts"]["stage"] for node in below(tree, "model")]
    assert stages == ["finetune", "transfer", "pretrain"]
    assert len(below(tree, "training spec")) == 3
    datasets = below(tree, "dataset")
    names = sorted(node["facts"]["name"] for node in datasets)
    # both later stages train on the DFT labels; one of them replays what the first trained on
    assert names == ["stand-in-pool-v1"] * 2 + ["stand-in-v1"] * 2
    high = next(node for node in datasets if node["id"] == store.dataset("stand-in")["_id"])
    runs = below(high, "sampler run")
    labels = {label for run in runs for label in run["facts"]["labels"]}
    members = [i for part in PARTS for i in store.member_ids(high["id"], part)]
    assert labels == set(members)
    potentials = {node["facts"]["engine"] for node in below(tree, "potential")}
    assert potentials == {"emt"}
    assert all(node["id"].startswith("thy-") for node in below(tree, "potential"))
    json.dumps(tree, default=str)


def test_a_label_is_followed_up_to_every_model(campaign: tuple[Store, list[str], Path]) -> None:
    store, _, _ = campaign
    label = store.member_ids(store.dataset("stand-in")["_id"], "train")[0]
    tree = impact(store, label)
    stages = {node["facts"]["stage"] for node in below(tree, "model")}
    assert stages == {"transfer", "finetune"}
    assert any(node["facts"].get("evaluation") == "stand-in" for node in below(tree, "model"))
    with pytest.raises(NotFound, match="lbl-gone"):
        impact(store, "lbl-gone")


def test_the_model_card_says_what_the_model_is(campaign: tuple[Store, list[str], Path]) -> None:
    store, _, _ = campaign
    card = model_card(trace(store, "stand-in"), store.evaluation("stand-in"))
    assert card.startswith("# stand-in / finetune")
    assert store.dataset("stand-in")["_id"] in card
    for heading in ("## Training", "### pretrain", "## Data", "## Errors"):
        assert heading in card
    assert "| all |" in card


def test_a_label_that_comes_late_is_in_the_next_version(tmp_path: Path) -> None:
    """The gate opens at 70 %; the last chunk comes when the dataset is frozen and trained on."""
    store, _, spec = run(tmp_path, {"relabel": {"min_yield": 0.7}})
    chunks = [s["key"] for s in store.steps("stand-in") if s["key"].startswith("relabel")]
    labels = store._documents._collections["labels"]
    steps = store._documents._collections["steps"]
    (theory,) = store.dataset("stand-in")["theories"]
    late = {label_id(c, theory) for c in store.chunk("stand-in", 0)}
    whole = store.dataset("stand-in")["_id"]
    split = {part: store.member_ids(whole, part) for part in PARTS}
    # As if chunk 0 had been slow: its labels are not there, and the first version is without them.
    for id_ in late:
        del labels[id_]
    del steps[f"stand-in/{chunks[0]}"]
    store._documents._collections["datasets"].clear()
    first = store.freeze_dataset(
        "stand-in",
        theories=[theory],
        split={part: [i for i in ids if i not in late] for part, ids in split.items()},
    )
    env = {"scratch": str(tmp_path / "scratch"), "results": str(tmp_path / "results")}
    run_inline(spec, store, base=tmp_path, env=env)
    second = store.dataset("stand-in")
    assert second["version"] == 2
    assert second["parent"] == first
    assert {i for p in PARTS for i in store.member_ids(second["_id"], p)} == {
        i for ids in split.values() for i in ids
    }
