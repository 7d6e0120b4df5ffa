"""A campaign at the level of VASP: the real custodian and our filter over a stand-in program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import stand_in_vasp
import stand_ins
from ase.build import bulk
from ase.io import write
from dft.test_vasp import POTCAR

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.firetasks.inline import run_inline
from fw_nnp.store.memory import MemoryDocuments
from fw_nnp.store.store import Store
from fw_nnp.workflows.check import check_files

STAND_IN = Path(stand_in_vasp.__file__)
SMALL = {
    "sample": {"protocols": [{"kind": "import", "file": "given.xyz", "always": True}]},
    "select": {"phases": {"solid": 0, "interface": 0, "liquid": 0}},
    "relabel": {
        "theory": {"code": "vasp", "elements": ["Al"], "potcar_dir": "potcars"},
        "chunk_size": 6,
        "min_yield": 0.3,
    },
    "dataset": {"split_by": "random"},
    "train": {"stages": [{"name": "train", "epochs": 2, "batch_size": 4}]},
}


def spec_of(**relabel: object) -> CampaignSpec:
    plain = stand_ins.campaign("vasp")
    del plain["relabel"], plain["train"]["stages"]
    return parse(CampaignSpec, merged(merged(plain, SMALL), {"relabel": relabel}), place="test")


def given(folder: Path) -> None:
    """Twelve crystals: sampling is not what is tested here."""
    cells = []
    for seed in range(12):
        cells.append(bulk("Al", a=4.05, cubic=True).repeat((2, 1, 1)))
        cells[-1].rattle(0.1, seed=seed)
    write(folder / "given.xyz", cells)


def potcars(folder: Path) -> None:
    place = folder / "potcars" / "POT_GGA_PAW_PBE"
    place.mkdir(parents=True)
    (place / "POTCAR.Al").write_text(POTCAR.format(symbol="Al", element="Al"))


def test_a_missing_potcar_is_said_before_anything_is_submitted(tmp_path):
    with pytest.raises(SpecError, match="no POTCAR 'Al'"):
        check_files(spec_of(), base=tmp_path)
    potcars(tmp_path)
    given(tmp_path)
    check_files(spec_of(), base=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("allowed", ["never", "relabel_as_new_theory"])
def test_a_sabotaged_campaign_ends_with_true_reasons(allowed, tmp_path, monkeypatch):
    """A fifth of the structures needs another smearing: refused, or filed under another theory."""
    monkeypatch.setenv("STAND_IN_VASP", "tet@0.2")
    potcars(tmp_path)
    given(tmp_path)
    env = {
        "scratch": str(tmp_path / "scratch"),
        "results": str(tmp_path / "results"),
        "cores": 2,
        "vasp_cmd": [sys.executable, str(STAND_IN)],
    }
    store = Store(MemoryDocuments())
    spec = spec_of(allow_physics_changes=allowed)
    ran = run_inline(spec, store, base=tmp_path, env=env)
    assert ran[-1] == "report"
    plan = next(s for s in store.steps("vasp") if s["key"] == "plan")["result"]
    selected = next(s for s in store.steps("vasp") if s["key"] == "select")["result"]
    failed = list(store.quarantined({"campaign": "vasp", "theory": plan["theory"]}))
    assert 0 < len(failed) < selected["n_selected"]
    assert sum(store.dataset("vasp")["counts"].values()) == selected["n_selected"] - len(failed)
    assert {record["error_class"] for record in failed} <= {"tet", "tetirr"}
    elsewhere = list(store.labels({"campaign": "vasp", "purpose": "changed theory"}))
    if allowed == "never":
        assert elsewhere == []
        assert all("ISMEAR = 0" in record["reason"] for record in failed)
    else:
        assert {i.configuration.id for i in elsewhere} == {r["configuration"] for r in failed}
        (other,) = {item.label.theory_id for item in elsewhere}
        assert other != plan["theory"]
        assert store.theory(other).settings["changed"] == ["ISMEAR = 0", "SIGMA = 0.05"]
