"""A campaign whose structures are sabotaged, over the real pw.x: every failure has its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import stand_ins
from ase.build import bulk
from ase.io import write
from campaigns import COARSE_PW

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.parsing import merged, parse
from fw_nnp.core.specs import CampaignSpec
from fw_nnp.firetasks.inline import run_inline
from fw_nnp.store.memory import MemoryDocuments
from fw_nnp.store.store import Store

pytestmark = [pytest.mark.engines, pytest.mark.slow]
# Kills itself in the middle of the run, for the structures named in the file.
DEADLY = """
grep -q "$(basename $PWD)" {doomed} && ( "$@" & sleep 0.3; kill -9 $! ) 2>/dev/null && kill -9 $$
exec "$@"
"""


def structures() -> tuple[list, dict[str, str]]:
    """Thirty cells, every tenth of them spoilt; id -> the class that is the truth about it."""
    cells = []
    for seed in range(30):
        atoms = bulk("Al", "fcc", a=4.05).repeat((2, 1, 1))
        atoms.rattle(0.08, seed=seed)
        cells.append(atoms)
    cells[4].positions[1] = cells[4].positions[0] + 0.3  # overlap
    cells[14].symbols[0] = "Xe"  # no pseudopotential
    truth = {from_atoms(cells[i]).id: name for i, name in ((4, "geometry"), (14, "input"))}
    return cells, truth


def test_a_tenth_of_the_structures_is_sabotaged(pw, tmp_path: Path) -> None:
    cells, truth = structures()
    write(tmp_path / "given.xyz", cells)
    doomed = from_atoms(cells[24]).id
    truth[doomed] = "truncated"  # killed, twice
    (tmp_path / "doomed").write_text(doomed + "\n")
    script = DEADLY.format(doomed=tmp_path / "doomed")
    plain = stand_ins.campaign("sabotaged")
    del plain["relabel"], plain["train"]["stages"]
    changes = {
        "sample": {"protocols": [{"kind": "import", "file": "given.xyz", "always": True}]},
        "select": {"phases": {"solid": 0}},
        "relabel": {"theory": COARSE_PW, "chunk_size": 15, "min_yield": 0.9},
        "dataset": {"split_by": "random"},
        "train": {"stages": [{"name": "train", "epochs": 1, "batch_size": 8}]},
    }
    env = {
        "scratch": str(tmp_path / "scratch"),
        "results": str(tmp_path / "results"),
        "cores": 2,
        "pw_cmd": ["sh", "-c", script, "sh", *pw],
    }
    store = Store(MemoryDocuments())
    spec = parse(CampaignSpec, merged(plain, changes), place="test")
    ran = run_inline(spec, store, base=tmp_path, env=env)
    assert ran[-1] == "report"
    failed = {record["configuration"]: record for record in store.quarantined({})}
    assert {i: record["error_class"] for i, record in failed.items()} == truth
    said = {"geometry": "Å apart", "input": "pseudopotential for Xe", "truncated": "SIGKILL"}
    for i, error_class in truth.items():
        assert said[error_class] in failed[i]["reason"]
    assert sum(store.dataset("sabotaged")["counts"].values()) == 27
