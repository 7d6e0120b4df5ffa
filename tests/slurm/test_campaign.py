"""The quick campaign on a real Slurm: pilots sample and relabel, reserved jobs train."""

from __future__ import annotations

import subprocess
import time

import pytest
from campaigns import BIN, FW_NNP, check_campaign, open_store, run, write_quick

pytestmark = [pytest.mark.engines, pytest.mark.slurm]
NAME = "al-quickstart-quick"
HERE = "launchers/slurm"
PILOTS = ["-s", "rapidfire", "-m", "2", "--sleep", "2"]
TRAINING = ["-s", "-r", "-w", f"{HERE}/gpu_fworker.yaml", "-q", f"{HERE}/gpu_qadapter.yaml"]
TRAINING += PILOTS[1:]


def test_lpad_add_and_qlaunch_run_the_quick_campaign(cluster, launchpad, lmp, pw) -> None:
    run([*FW_NNP, "init"], cluster.home)
    campaign = write_quick("al_quickstart", cluster.home)
    cluster.say("lpad", "-l", "my_launchpad.yaml", "add", str(campaign))
    launchers = {"md,dft": Qlaunch(cluster, PILOTS), "gpu": Qlaunch(cluster, TRAINING)}
    store = open_store(cluster.home)
    deadline = time.monotonic() + 400
    try:
        while "report" not in {step["key"] for step in store.steps(NAME)}:
            assert not launchpad.fireworks.count_documents({"state": "FIZZLED"}), cluster.logs()
            assert time.monotonic() < deadline, cluster.logs()
            for categories, qlaunch in launchers.items():
                ready = {"state": "READY", "spec._category": {"$in": categories.split(",")}}
                if launchpad.fireworks.count_documents(ready):
                    qlaunch.start()
            time.sleep(0.5)
    finally:
        for qlaunch in launchers.values():
            qlaunch.stop()
    check_campaign(cluster.home, NAME)
    workers = {d["fworker"]["name"] for d in launchpad.launches.find({}, {"fworker.name": 1})}
    assert workers == {"slurm-cpu", "slurm-gpu"}


class Qlaunch:
    """``qlaunch rapidfire -m 2``, which ends by itself when nothing is left to submit."""

    def __init__(self, cluster, words: list[str]) -> None:
        self._cluster, self._words = cluster, words
        self._running: subprocess.Popen | None = None

    def start(self) -> None:
        if self._running is None or self._running.poll() is not None:
            with (self._cluster.home / "qlaunch.log").open("a") as log:
                self._running = subprocess.Popen(
                    [str(BIN / "qlaunch"), *self._words],
                    cwd=self._cluster.home,
                    env=self._cluster.env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def stop(self) -> None:
        if self._running is not None:
            self._running.terminate()
            self._running.wait()
