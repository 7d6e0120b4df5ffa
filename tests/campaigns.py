"""The example campaigns at quick size, for the tests that run them on the real engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import stand_ins
import yaml

from fw_nnp.core.parsing import parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.services.launchpad import connect
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store
from fw_nnp.workflows.files import read_campaign
from fw_nnp.workflows.submit import campaign_workflow

EXAMPLES = Path(__file__).parents[1] / "examples" / "campaigns"
FW_NNP = [sys.executable, "-m", "fw_nnp.cli.main"]
BIN = Path(sys.executable).parent


def write_quick(name: str, directory: Path) -> Path:
    """The quick size of an example as a campaign file, with a structure of overlapping atoms."""
    spec = read_campaign(EXAMPLES / f"{name}.yaml", quick=True).model_dump(mode="json")
    (element,) = spec["sample"]["potential"]["elements"]
    stand_ins.write_overlapping(directory / "given.xyz", element)
    spec["sample"]["protocols"].append({"kind": "import", "file": "given.xyz", "always": True})
    workflow = campaign_workflow(parse(CampaignSpec, spec, place=name), base=str(directory))
    document = json.loads(json.dumps(workflow.to_dict(), default=str))
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def run(words: list[Any], directory: Path, timeout: float = 420) -> subprocess.CompletedProcess:
    """Run a command to its end; its output is in the message when it fails."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*map(str, words)],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done


def open_store(directory: Path) -> Store:
    """The store of the launchpad file in `directory`."""
    return Store(MongoDocuments(connect(directory / "my_launchpad.yaml").db))


def check_campaign(directory: Path, campaign: str) -> dict[str, Any]:
    """What every finished quick campaign promises; returns the report's numbers."""
    numbers = json.loads(run([*FW_NNP, "report", campaign, "--json"], directory).stdout)
    (failure,) = numbers["quarantined"]
    assert failure["class"] == "geometry"
    assert numbers["labels"]["total"] >= 10
    assert set(numbers["properties"]) == {"dft", "eam", "potential"}
    dft = numbers["properties"]["dft"]
    assert 3.9 < dft["a0_A"] < 4.2
    assert dft["C11_GPa"] > dft["C12_GPa"] > dft["C44_GPa"] > 0
    assert set(numbers["costs"]) >= {"sample", "select", "relabel", "reference", "evaluate"}
    page = directory / "results" / campaign / "report.html"
    run([*FW_NNP, "report", campaign], directory)
    assert campaign in page.read_text()
    return numbers


COARSE_PW = {
    "code": "espresso",
    "pseudopotentials": {"Al": "Al.pbe-fwnnp.UPF"},
    "ecutwfc": "8 Ry",
    "k_spacing": 0.9,
    "k_shift": True,
    "degauss": "0.15 Ry",
    "bands": 1.8,
}
