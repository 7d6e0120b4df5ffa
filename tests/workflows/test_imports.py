"""Labels of others in the store: beside one's own where they are at one level of theory."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from campaigns import COARSE_PW

from fw_nnp.core.errors import FwNnpError, LabelConflict, SpecError
from fw_nnp.core.records import Configuration, Frame, Label
from fw_nnp.core.specs import EspressoSpec
from fw_nnp.dft import theory_of
from fw_nnp.store.memory import MemoryDocuments
from fw_nnp.store.store import Store
from fw_nnp.workflows.imports import Imported, import_path

RECORDED = Path(__file__).parents[1] / "dft/data"
SPEC = {**COARSE_PW, "bands": 1.6}  # of the recorded outputs


@pytest.fixture
def store() -> Store:
    store = Store(MemoryDocuments())
    store.prepare()
    return store


def imported(store: Store, path: Path) -> tuple[Imported, list[FwNnpError]]:
    left_out: list[FwNnpError] = []
    done = import_path(
        store,
        path,
        campaign="theirs",
        purpose="training",
        description=None,
        left_out=left_out.append,
    )
    return done, left_out


def runs(folder: Path) -> Path:
    for name in ("good", "not_converged"):
        shutil.copytree(RECORDED / name, folder / name)
    return folder


def test_runs_of_others_and_of_a_campaign_are_in_one_dataset(store, tmp_path):
    theory = theory_of(EspressoSpec.model_validate(SPEC), base=Path())
    store.add_theory(theory)
    mine = Configuration(cell=4.05 * np.eye(3), positions=[[0.0, 0.0, 0.0]], numbers=[13])
    frame = Frame(configuration=mine, trajectory="trj-1", sampler="rattle")
    own = Label(configuration_id=mine.id, theory_id=theory.id, energy=-58.0)
    store.add_frames([frame], campaign="a")
    store.add_labels([(frame, own)], campaign="a", purpose="training")
    done, left_out = imported(store, runs(tmp_path / "runs"))
    assert (done.labels, done.new, done.theories) == (1, 1, 1)
    assert {Path(error.place).parent.name for error in left_out} == {"not_converged"}
    id_ = store.create_dataset(
        "both", {}, query="", split_by=["random"], fractions=[1.0, 0.0, 0.0], seed=1
    )
    assert store.dataset(id_)["theories"] == [theory.id]
    assert store.dataset(id_)["counts"]["train"] == 2
    (document,) = store.label_documents({"campaign": "theirs"})
    assert document["code"] == "espresso"
    assert document["provenance"]["source"]["file"] == "good/data-file-schema.xml"
    again, _ = imported(store, tmp_path / "runs")
    assert (again.labels, again.new) == (1, 0)


def test_runs_imported_before_a_campaign_join_it_when_imported_again(store, tmp_path):
    imported(store, runs(tmp_path / "runs"))
    (found,) = store.frames({})
    theory = theory_of(EspressoSpec.model_validate({**SPEC, "k_spacing": 0.87}), base=Path())
    store.add_theory(theory)
    wanted = {"campaign": "a", "purpose": "training"}
    cell = found.configuration.id
    assert store.claim_labels([cell], theory.id, **wanted) == [cell]  # still to be computed
    again, _ = imported(store, tmp_path / "runs")
    assert (again.labels, again.new) == (1, 1)
    assert store.claim_labels([cell], theory.id, **wanted) == []


def test_one_output_is_imported_by_its_name(store, tmp_path):
    shutil.copy(RECORDED / "good/pw.out", tmp_path / "screen.txt")
    done, left_out = imported(store, tmp_path / "screen.txt")
    assert (done.labels, left_out) == (1, [])
    (document,) = store.label_documents({})
    assert document["provenance"]["source"]["file"] == "screen.txt"
    shutil.copy(RECORDED / "good/pw.in", tmp_path / "pw.in")
    with pytest.raises(SpecError, match="unknown format"):
        imported(store, tmp_path / "pw.in")


def test_a_file_is_kept_whole_even_where_one_label_contradicts(store, tmp_path):
    cells = []
    for seed in range(4):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_potential_energy()
        cells.append(atoms)
    twin = cells[0].copy()
    twin.info["dft_energy"] = 7.0
    twin.info["phase"] = "fcc"  # what others call a phase
    write(tmp_path / "a.xyz", [cells[0], twin, *cells[1:]], format="extxyz")
    with pytest.raises(LabelConflict, match="all other labels are kept"):
        imported(store, tmp_path / "a.xyz")
    assert store.count_labels({}) == 4
    assert store.count_conflicts() == 1
    assert {d["phase"] for d in store.label_documents({})} == {""}
