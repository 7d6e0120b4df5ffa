"""The launchers of launchers/slurm on a real one-node Slurm."""

from __future__ import annotations

import re
import time

import pytest
from fireworks import Firework, ScriptTask, Workflow

pytestmark = [pytest.mark.engines, pytest.mark.slurm]


def firework(name: str, category: str, script: str, **spec) -> Firework:
    task = ScriptTask(script=script, use_shell=True)
    return Firework([task], name=name, spec={"_category": category, **spec})


def wait_for(launchpad, fw_id: int, state: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while launchpad.get_fw_by_id(fw_id).state != state:
        assert time.monotonic() < deadline, launchpad.get_fw_by_id(fw_id).state
        time.sleep(0.5)


def test_pilots_run_a_workflow_and_leave_training_alone(cluster, launchpad):
    sample = firework("sample", "md", "echo $SLURM_JOB_ID > job")
    relabel = firework("relabel", "dft", "echo $SLURM_JOB_ID > job")
    train = firework("train", "gpu", "true")
    launchpad.add_wf(
        Workflow([sample, relabel, train], {sample: [relabel], relabel: [train]}, name="two steps")
    )
    cluster.say("qlaunch", "-s", "rapidfire", "-m", "2", "--nlaunches", "1")
    wait_for(launchpad, relabel.fw_id, "COMPLETED")
    jobs = {file.read_text().strip() for file in cluster.home.rglob("launcher_*/job")}
    assert len(jobs) == 1, cluster.logs()  # one pilot took both
    assert next(iter(jobs)).isdigit()
    assert launchpad.get_fw_by_id(train.fw_id).state == "READY"
    launch = launchpad.get_fw_by_id(sample.fw_id).launches[0]
    assert launch.fworker.name == "slurm-cpu"


def test_training_is_reserved_with_its_own_resources(cluster, launchpad):
    train = firework(
        "train",
        "gpu",
        "scontrol show job $SLURM_JOB_ID > job",
        _queueadapter={"walltime": "00:07:00"},
    )
    launchpad.add_wf(Workflow([train], name="training"))
    here = "launchers/slurm"
    files = ("-w", f"{here}/gpu_fworker.yaml", "-q", f"{here}/gpu_qadapter.yaml")
    cluster.say("qlaunch", "-s", "-r", *files, "rapidfire", "-m", "2", "--nlaunches", "1")
    wait_for(launchpad, train.fw_id, "COMPLETED")
    (job,) = cluster.home.rglob("launcher_*/job")
    shown = job.read_text()
    assert "TimeLimit=00:07:00" in shown
    assert re.search(r"TresPerNode=gres[:/]gpu:1", shown)
    assert "JobName=train" in shown  # reservation mode names the job after its Firework


def test_qlaunch_ends_when_nothing_is_left(cluster, launchpad):
    fireworks = [firework(f"label {n}", "dft", "true") for n in range(2)]
    for one in fireworks:
        launchpad.add_wf(Workflow([one]))
    cluster.say("qlaunch", "-s", "rapidfire", "-m", "2", "--sleep", "1")
    for one in fireworks:
        wait_for(launchpad, one.fw_id, "COMPLETED")
    assert launchpad.get_fw_ids({"state": "READY"}) == []
