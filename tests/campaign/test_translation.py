"""The paper's translation, nickel cells to aluminium, by FireWorks' own commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns import BIN, FW_NNP, check_campaign, open_store, run, write_quick

pytestmark = pytest.mark.engines


def test_lpad_add_and_rlaunch_do_the_same(lmp, pw, launchpad_file: Path, launchpad) -> None:
    directory = launchpad_file.parent
    run([*FW_NNP, "init"], directory)
    run([BIN / "lpad", "add", write_quick("ni_to_al", directory)], directory)
    run([BIN / "rlaunch", "-s", "rapidfire"], directory)
    numbers = check_campaign(directory, "ni-to-al-quick")
    assert numbers["labels"]["by_split"]["test"] > 0
    store = open_store(directory)
    samplers = {frame.sampler for frame in store.frames({"campaign": "ni-to-al-quick"})}
    assert "melt_quench:Ni>Al" in samplers
    fields = ["elements"]
    labels = store.label_documents({"campaign": "ni-to-al-quick"}, fields=fields)
    assert {tuple(d["elements"]) for d in labels} == {("Al",)}
