"""The doctor looks and changes nothing; each row that is not ok says what to do."""

from __future__ import annotations

import pytest

from fw_nnp.services import doctor
from fw_nnp.services.engines import Programs
from fw_nnp.services.launchpad import FILE


def rows(directory) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.checks(directory)}


def test_a_machine_with_nothing(tmp_path, monkeypatch):
    nothing = Programs(lmp=[], pw=[], mongod=[], vasp=[], potentials=None)
    monkeypatch.setattr(doctor, "find_programs", lambda: nothing)
    monkeypatch.setattr(doctor, "PSEUDOPOTENTIALS", tmp_path)
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    monkeypatch.setenv("PATH", "")
    found = rows(tmp_path)
    failed = {name for name, check in found.items() if check.state == "fail"}
    assert failed == {
        *("packages", "launchpad file", "mongod", "MongoDB server", "LAMMPS"),
        *("LAMMPS potentials", "Quantum ESPRESSO", "pseudopotentials"),
    }
    assert found["queue"].state == "warn"
    assert all(check.remedy for check in found.values() if check.state != "ok")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_there_but_does_not_start(tmp_path, monkeypatch):
    broken = tmp_path / "lmp"
    broken.write_text(
        "#!/bin/sh\necho 'error while loading shared libraries: libmpi.so.12'\nexit 127"
    )
    broken.chmod(0o755)
    found = Programs(lmp=[str(broken)], pw=["/nonexistent"], mongod=[], vasp=[], potentials=None)
    monkeypatch.setattr(doctor, "find_programs", lambda: found)
    assert "libmpi.so.12" in rows(tmp_path)["LAMMPS"].found
    assert rows(tmp_path)["Quantum ESPRESSO"].state == "fail"


@pytest.mark.engines
def test_real_engines_really_start(lmp, pw, mongod_program, launchpad_file):
    found = rows(launchpad_file.parent)
    for name in ("LAMMPS", "Quantum ESPRESSO", "mongod", "MongoDB server", "launchpad file"):
        assert found[name].state == "ok", found[name]
    assert "PWSCF v." in found["Quantum ESPRESSO"].found
    assert "Simulator" in found["LAMMPS"].found
    (launchpad_file.parent / FILE).chmod(0o644)
    assert rows(launchpad_file.parent)["launchpad file"].state == "warn"
