"""What is missing is said before anything is submitted or started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import stand_ins

from fw_nnp.core.errors import EngineError, SpecError
from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.services.engines import Programs
from fw_nnp.workflows import check
from fw_nnp.workflows.files import read_campaign

EXAMPLE = Path(__file__).parents[2] / "examples" / "campaigns" / "al_quickstart.yaml"


@pytest.fixture
def spec() -> CampaignSpec:
    return read_campaign(EXAMPLE)


def with_changes(spec: CampaignSpec, changes: dict) -> CampaignSpec:
    return parse(CampaignSpec, merged(spec.model_dump(mode="json"), changes), place="test")


def test_the_example_is_complete(spec: CampaignSpec, programs: Programs) -> None:
    check.check_files(spec, base=EXAMPLE.parent)
    if programs.lmp and programs.pw:
        check.check_programs(spec)
    assert spec.relabel.theory.pseudopotentials


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relabel": {"theory": {"pseudopotentials": {"Al": "no.UPF"}}}}, "no.UPF"),
        ({"relabel": {"theory": {"pseudo_dir": "nowhere"}}}, "nowhere"),
        ({"sample": {"protocols": [{"kind": "import", "file": "no.xyz"}]}}, "no.xyz"),
    ],
)
def test_missing_files_are_named(
    spec: CampaignSpec, tmp_path: Path, changes: dict, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        check.check_files(with_changes(spec, changes), base=tmp_path)


def test_a_missing_baseline_is_named(
    spec: CampaignSpec, tmp_path: Path, programs: Programs
) -> None:
    baseline = {"style": "eam/fs", "file": "Al_mn.eam.fs"}
    wrong = with_changes(spec, {"train": {"model": {"baseline": baseline}}})
    if programs.potentials is None:
        return
    with pytest.raises(SpecError, match=r"model\.baseline\.file: no potential file 'Al_mn"):
        check.check_files(wrong, base=tmp_path)


def test_a_missing_potential_is_named_where_lammps_is(
    spec: CampaignSpec, tmp_path: Path, programs: Programs
) -> None:
    wrong = with_changes(spec, {"sample": {"potential": {"file": "Al_mn.eam.fs"}}})
    if programs.potentials is None:
        check.check_files(wrong, base=tmp_path)  # the workers may have it
        return
    with pytest.raises(SpecError, match=r"Al_mn\.eam\.fs"):
        check.check_files(wrong, base=tmp_path)


@pytest.mark.parametrize(("name", "program"), [("pw", "pw.x"), ("lmp", "lmp")])
def test_missing_programs_are_named_with_what_to_install(
    spec: CampaignSpec, monkeypatch: pytest.MonkeyPatch, name: str, program: str
) -> None:
    all_there = Programs(lmp=["lmp"], pw=["pw.x"], mongod=["mongod"], vasp=[], potentials=None)
    monkeypatch.setattr(check, "find_programs", lambda: replace(all_there, **{name: []}))
    with pytest.raises(EngineError, match=f"'{program}' was not found") as caught:
        check.check_programs(spec)
    assert "make" in caught.value.remedy
    assert caught.value.exit_code == 2


def test_stand_ins_need_no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Programs(lmp=[], pw=[], mongod=[], vasp=[], potentials=None)
    monkeypatch.setattr(check, "find_programs", lambda: nothing)
    spec = parse(CampaignSpec, stand_ins.campaign(), place="test")
    assert check.check_programs(spec) is None
