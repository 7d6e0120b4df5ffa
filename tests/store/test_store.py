"""The store's promises, on MongoDB and on its twin in memory."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from stores import DFT, EAM

from fw_nnp.core.errors import LabelConflict, NotFound, SpecError, StoreError
from fw_nnp.core.records import Configuration, Frame, Label, LevelOfTheory, Quarantine
from fw_nnp.store.store import Store


def frame(seed: int, *, phase: str = "solid", trajectory: str = "trj-1") -> Frame:
    rng = np.random.default_rng(seed)
    return Frame(
        configuration=Configuration(
            cell=4.05 * np.eye(3) + rng.normal(scale=0.01, size=(3, 3)),
            positions=rng.uniform(0, 4.05, (4, 3)),
            numbers=[13] * 4,
        ),
        trajectory=trajectory,
        sampler="rattle",
        phase=phase,
    )


def label(frame: Frame, theory: LevelOfTheory = DFT, energy: float = -10.0) -> Label:
    rng = np.random.default_rng(abs(hash(frame.configuration.id)) % 2**32)
    return Label(
        configuration_id=frame.configuration.id,
        theory_id=theory.id,
        energy=energy,
        forces=rng.normal(size=(4, 3)),
        stress=np.diag([0.01, 0.02, 0.03]),
        provenance={"corrections": [{"class": "broyden"}], "wall_s": 1.5},
    )


def test_arrays_come_back_to_the_last_bit(store: Store) -> None:
    one = frame(1)
    store.add_frames([one], campaign="a")
    store.add_labels([(one, label(one))], campaign="a", purpose="training")
    (back,) = store.labels({"campaign": "a"})
    assert back.configuration.id == one.configuration.id
    assert np.array_equal(back.configuration.positions, one.configuration.positions)
    assert np.array_equal(back.configuration.cell, one.configuration.cell)
    assert np.array_equal(back.label.forces, label(one).forces)
    assert np.array_equal(back.label.stress, label(one).stress)
    assert back.label.energy == -10.0
    assert back.label.provenance == label(one).provenance
    assert (back.phase, back.trajectory) == ("solid", "trj-1")


def test_twice_changes_nothing(store: Store) -> None:
    frames = [frame(i) for i in range(5)]
    pairs = [(f, label(f)) for f in frames]
    assert store.add_frames(frames, campaign="a") == 5
    assert store.add_labels(pairs, campaign="a", purpose="training") == 5
    assert store.add_frames(frames, campaign="a") == 0
    assert store.add_labels(pairs, campaign="a", purpose="training") == 0
    assert store.count_labels({}) == 5


def test_a_second_campaign_shares_labels(store: Store) -> None:
    one, two = frame(1), frame(2)
    store.add_frames([one, two], campaign="a")
    store.add_labels([(one, label(one))], campaign="a", purpose="training")
    ids = [one.configuration.id, two.configuration.id]
    lacking = store.claim_labels(ids, DFT.id, campaign="b", purpose="training")
    assert lacking == [two.configuration.id]
    (document,) = store.label_documents({"campaign": "b"})
    assert sorted(document["campaign"]) == ["a", "b"]


def test_scalars_are_queryable_in_stated_units(store: Store) -> None:
    one = frame(1, phase="liquid")
    answer = label(one)
    store.add_frames([one], campaign="a")
    store.add_labels([(one, answer)], campaign="a", purpose="training")
    (document,) = store.label_documents({"elements": "Al", "phase": "liquid"})
    assert document["max_force"] == pytest.approx(np.linalg.norm(answer.forces, axis=1).max())
    assert document["pressure"] == pytest.approx(-0.02 * 160.21766208)  # tension is negative
    assert document["energy_per_atom"] == -2.5
    assert document["corrections"] == 1
    assert document["code"] == "espresso"


def test_two_answers_conflict_and_both_are_kept(store: Store) -> None:
    one = frame(1)
    store.add_frames([one], campaign="a")
    store.add_labels([(one, label(one))], campaign="a", purpose="training")
    within = label(one, energy=-10.0 + 1e-4)  # 0.025 meV/atom
    store.add_labels([(one, within)], campaign="a", purpose="training")
    with pytest.raises(LabelConflict, match="25 meV/atom"):
        store.add_labels([(one, label(one, energy=-10.1))], campaign="a", purpose="training")
    (kept,) = store.labels({})
    assert kept.label.energy == -10.0
    assert store.count_conflicts() == 1
    squeezed = replace(label(one), stress=-label(one).stress)
    with pytest.raises(LabelConflict, match="GPa"):
        store.add_labels([(one, squeezed)], campaign="a", purpose="training")


def test_same_configuration_at_two_theories_is_two_labels(store: Store) -> None:
    one = frame(1)
    store.add_frames([one], campaign="a")
    store.add_labels([(one, label(one, EAM, -9.0))], campaign="a", purpose="pool")
    store.add_labels([(one, label(one, DFT))], campaign="a", purpose="training")
    assert store.count_labels({"configuration": one.configuration.id}) == 2


def test_quarantine_ends_when_a_label_arrives(store: Store) -> None:
    one = frame(1)
    record = Quarantine(
        configuration_id=one.configuration.id,
        theory_id=DFT.id,
        error_class="geometry",
        reason="two atoms overlap",
    )
    assert store.add_quarantine([record], campaign="a") == 1
    assert store.add_quarantine([record], campaign="a") == 0
    assert [d["reason"] for d in store.quarantined({"campaign": "a"})] == ["two atoms overlap"]
    store.add_frames([one], campaign="a")
    store.add_labels([(one, label(one))], campaign="a", purpose="training")
    assert store.quarantined({"campaign": "a"}) == []


def test_datasets_are_immutable_versions(store: Store) -> None:
    frames = [frame(i) for i in range(4)]
    store.add_frames(frames, campaign="a")
    store.add_labels([(f, label(f)) for f in frames], campaign="a", purpose="training")
    ids = sorted(d["_id"] for d in store.label_documents({}))
    split = {"train": ids[:2], "validation": ids[2:3], "test": ids[3:]}
    first = store.freeze_dataset("a", theories=[DFT.id], split=split)
    again = {part: list(reversed(values)) for part, values in split.items()}
    assert store.freeze_dataset("a", theories=[DFT.id], split=again) == first
    assert store.dataset("a")["name"] == "a-v1"
    other = store.freeze_dataset("a", theories=[DFT.id], split={**split, "test": []})
    assert other != first
    assert store.dataset("a")["_id"] == other
    assert store.dataset("a-v1")["_id"] == first
    assert [item.label.id for item in store.dataset_part(first, "train")] == ids[:2]


def test_a_dataset_with_a_lost_label_is_refused(store: Store) -> None:
    broken = {"train": ["lbl-gone"], "validation": [], "test": []}
    dataset = store.freeze_dataset("a", theories=[DFT.id], split=broken)
    with pytest.raises(StoreError, match="1 labels of train are missing"):
        store.dataset_part(dataset, "train")


def test_models_come_back_and_damage_is_seen(store: Store) -> None:
    data = secrets.token_bytes(1000)
    store.add_model("mdl-1", data, {"campaign": "a", "stage": "transfer"})
    assert store.model_data("mdl-1") == data
    assert store.model("a")["stage"] == "transfer"
    store.add_model("mdl-2", data, {"campaign": "a", "stage": "finetune"})
    store._documents.get_blob = lambda name: data[:-1]
    with pytest.raises(StoreError, match="damaged"):
        store.model_data("mdl-2")


def test_a_campaign_cannot_change_under_its_name(store: Store) -> None:
    store.open_campaign("a", {"seed": 1, "name": "a"}, "/somewhere")
    store.open_campaign("a", {"seed": 1, "name": "a"}, "/somewhere")
    with pytest.raises(SpecError, match=r"other settings \(seed\)"):
        store.open_campaign("a", {"seed": 2, "name": "a"}, "/somewhere")
    assert store.campaigns() == ["a"]


def test_steps_are_filed_once(store: Store) -> None:
    for wall in (1.0, 2.0):
        store.finish_step("a", "select", stage="select", wall_s=wall, core_s=1.0, result={"n": 1})
    (step,) = store.steps("a")
    assert step["wall_s"] == 1.0
    assert step["result"] == {"n": 1}


def test_one_reads_while_another_writes(store: Store) -> None:
    frames = [frame(seed) for seed in range(100, 160)]

    def write() -> int:
        return sum(store.add_frames([one], campaign="a") for one in frames)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        counts = [len(list(store.frames({})))]
        while not writing.done():
            counts.append(len(list(store.frames({}))))
    assert writing.result() == len(frames)
    assert counts == sorted(counts)
    assert len(list(store.frames({}))) == len(frames)


def test_what_is_not_there_says_so(store: Store) -> None:
    with pytest.raises(NotFound, match="cfg-gone"):
        store.frames_of(["cfg-gone"])
    for missing in (store.campaign, store.dataset, store.model, store.evaluation, store.theory):
        with pytest.raises(NotFound):
            missing("gone")


def test_identity_ignores_signed_zeros_and_noise_below_1e_8() -> None:
    one = frame(1).configuration
    moved = one.positions + 1e-11
    assert replace(one, positions=moved).id == one.id
    assert replace(one, positions=one.positions + 1e-6).id != one.id
    zero = Configuration(cell=np.eye(3), positions=[[0.0, 0.0, 0.0]], numbers=[13])
    assert replace(zero, positions=[[-0.0, 0.0, -0.0]]).id == zero.id
