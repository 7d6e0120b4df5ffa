"""A chunk over the real pw.x stops before its time is over, and a second one goes on from there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import stand_ins
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.records import Frame
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.firetasks.base import Unfinished, context_of
from fw_nnp.firetasks.relabel import labeler_of, relabel_chunk
from fw_nnp.services.deadline import MARGIN
from fw_nnp.store.memory import MemoryDocuments
from fw_nnp.store.store import Store

pytestmark = [pytest.mark.engines, pytest.mark.slow]
THEORY = {
    "code": "espresso",
    "pseudopotentials": {"Al": "Al.pbe-fwnnp.UPF"},
    "ecutwfc": "16 Ry",
    "k_spacing": 0.9,
    "k_shift": True,
    "degauss": "0.15 Ry",
    "bands": 2.5,
}
N = 3


@pytest.fixture
def chunk(pw: list[str], tmp_path: Path):
    """A store with one chunk of cells; makes contexts around a question when to stop."""
    plain = stand_ins.campaign("stops")
    del plain["relabel"]["theory"]
    spec = parse(CampaignSpec, merged(plain, {"relabel": {"theory": THEORY}}), place="test")
    store = Store(MemoryDocuments())
    store.open_campaign(spec.name, spec.model_dump(mode="json"), str(tmp_path))
    cells = []
    for seed in range(N):
        atoms = bulk("Al", "fcc", a=4.05, cubic=True)
        atoms.rattle(0.1, seed=seed)
        cells.append(from_atoms(atoms))
    frames = [Frame(configuration=c, trajectory="trj-test", sampler="rattle") for c in cells]
    store.add_frames(frames, campaign=spec.name)
    store.add_chunks(spec.name, [[c.id for c in cells]])
    env = {"cores": 2, "scratch": str(tmp_path / "scratch"), "pw_cmd": pw}

    def context(stop):
        made = context_of(store, spec.name, "relabel-00000", env, stop)
        store.add_theory(labeler_of(made).theory)
        return made

    return store, context, tmp_path / "scratch"


def labels(store: Store) -> list:
    return [item.label for item in store.labelled({"purpose": "training"})]


def test_a_stopped_chunk_goes_on_from_the_saved_states(chunk) -> None:
    store, context, scratch = chunk

    def in_the_middle() -> bool:
        return any("iteration #  2" in path.read_text() for path in scratch.glob("**/pw.out"))

    with pytest.raises(Unfinished):
        relabel_chunk(context(in_the_middle), {"chunk": 0})
    saved = len(list(scratch.glob("**/saved-state")))
    before = len(labels(store))
    assert saved >= 1
    assert before < N
    result = relabel_chunk(context(lambda: False), {"chunk": 0})
    assert result == {"labels": N - before, "quarantined": 0}
    resumed = [label for label in labels(store) if label.provenance.get("resumed")]
    assert len(resumed) == saved
    assert len(labels(store)) == N


def test_a_chunk_ends_before_its_slurm_job(chunk, monkeypatch) -> None:
    store, context, _ = chunk
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + MARGIN + 1.0))
    began = time.monotonic()
    with pytest.raises(Unfinished) as stopped:
        relabel_chunk(context(lambda: False), {"chunk": 0})
    assert time.monotonic() - began < MARGIN
    assert stopped.value.result["quarantined"] == 0
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + 3600.0))
    relabel_chunk(context(lambda: False), {"chunk": 0})
    assert len(labels(store)) == N
