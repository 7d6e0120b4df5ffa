"""The quick campaign on a real Slurm: pilots sample and relabel, reserved jobs train."""

from __future__ import annotations

import time

import pytest
from campaigns import FW_NNP, check_campaign, open_store, run, write_quick

pytestmark = [pytest.mark.engines, pytest.mark.slurm]
NAME = "al-quickstart-quick"


def test_lpad_add_and_qlaunch_run_the_quick_campaign(cluster, launchpad, lmp, pw) -> None:
    run([*FW_NNP, "init"], cluster.home)
    cluster.say(
        "lpad", "-l", "my_launchpad.yaml", "add", str(write_quick("al_quickstart", cluster.home))
    )
    here = "launchers/slurm"
    training = ["-r", "-w", f"{here}/gpu_fworker.yaml", "-q", f"{here}/gpu_qadapter.yaml"]
    store = open_store(cluster.home)
    deadline = time.monotonic() + 400
    while "report" not in {step["key"] for step in store.steps(NAME)}:
        fizzled = launchpad.fireworks.count_documents({"state": "FIZZLED"})
        assert not fizzled, cluster.logs()[-5000:]
        assert time.monotonic() < deadline, cluster.logs()[-5000:]
        ready = {"state": "READY", "spec._category": {"$ne": "gpu"}}
        if launchpad.fireworks.count_documents(ready):
            cluster.say("qlaunch", "-s", "rapidfire", "-m", "2", "--nlaunches", "1")
        if launchpad.fireworks.count_documents({"state": "READY", "spec._category": "gpu"}):
            cluster.say("qlaunch", "-s", *training, "rapidfire", "-m", "2", "--nlaunches", "1")
        time.sleep(1)
    check_campaign(cluster.home, NAME)
    workers = {d["fworker"]["name"] for d in launchpad.launches.find({}, {"fworker.name": 1})}
    assert workers == {"slurm-cpu", "slurm-gpu"}
