"""Campaign files: what FireWorks loads is what we check."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fireworks import Workflow

from fw_nnp.core.errors import SpecError
from fw_nnp.workflows.files import PLANNER, read_campaign

CAMPAIGNS = sorted((Path(__file__).parents[2] / "examples" / "campaigns").glob("*.yaml"))


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_fireworks_itself_loads_the_examples(path: Path) -> None:
    workflow = Workflow.from_file(str(path))
    (firework,) = workflow.fws
    assert firework.spec["_category"] == "md"
    assert firework.spec["_add_launchpad_and_fw_id"] is True
    full, quick = read_campaign(path), read_campaign(path, quick=True)
    assert workflow.metadata["campaign"] == full.name
    assert quick.name == f"{full.name}-quick"
    assert sum(quick.select.phases.values()) < sum(full.select.phases.values())


def changed(tmp_path: Path, **changes: object) -> Path:
    """The quick start with some keys of its campaign replaced."""
    document = yaml.safe_load(CAMPAIGNS[0].read_text())
    document["fws"][0]["spec"]["_tasks"][0]["campaign"].update(changes)
    path = tmp_path / "campaign.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slect": {}}, "slect: unknown key .did you mean 'select'"),
        ({"seed": "one"}, "seed: Input should be a valid integer"),
        ({"select": {"phases": {"gas": 3}}}, "gas"),
        ({"dataset": {"fractions": [0.5, 0.5, 0.5]}}, "add up to 1"),
        ({"evaluate": {"element": "Al", "lattice_constant": "4 K"}}, "'K' is no unit of length"),
        ({"name": "no spaces please"}, "name: String should match"),
    ],
)
def test_mistakes_are_named_with_file_and_key(tmp_path: Path, changes: dict, message: str) -> None:
    path = changed(tmp_path, **changes)
    with pytest.raises(SpecError, match=message) as caught:
        read_campaign(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_unreadable_yaml_has_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("fws:\n  - {spec: [}\n")
    with pytest.raises(SpecError, match=r"broken.yaml:2:\d+: not valid YAML"):
        read_campaign(path)


def test_other_files_are_no_campaigns(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("a: 1\n")
    with pytest.raises(SpecError, match="not a campaign file"):
        read_campaign(path)
    with pytest.raises(SpecError, match="no such file"):
        read_campaign(tmp_path / "absent.yaml")
    path.write_text(yaml.safe_dump({"fws": [{"spec": {"_tasks": [{"_fw_name": PLANNER}]}}]}))
    with pytest.raises(SpecError, match="'campaign' section"):
        read_campaign(path)


def test_quick_needs_a_quick_section(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no 'quick' section"):
        read_campaign(changed(tmp_path, quick={}), quick=True)
