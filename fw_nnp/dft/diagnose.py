"""What happened in a directory: success by proof, failure by its symptom, whatever the code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from .espresso_verdict import diagnose_espresso
from .outputs import Outputs, find_outputs
from .verdict import Diagnosis

Code = Literal["espresso", "vasp"]


def diagnose(directory: Path, done: Sequence[str] = (), *, code: Code | None = None) -> Diagnosis:
    """Diagnose a finished run; files are found by their content.

    Parameters
    ----------
    done
        Names of the actions that were tried before.
    code
        Whose run it was; None: the outputs tell.
    """
    outputs = find_outputs(directory)
    if (code or code_of(outputs, directory)) == "vasp":
        from .vasp_verdict import diagnose_vasp  # custodian's VASP part takes pymatgen along

        return diagnose_vasp(outputs, directory)
    return diagnose_espresso(outputs, done)


def code_of(outputs: Outputs, directory: Path) -> Code:
    """Which code wrote `outputs`."""
    roles = {output.role for output in outputs.files}
    if roles & {"pw_stdout", "pw_xml", "pw_old_xml"}:
        return "espresso"
    if roles & {"vasprun", "outcar", "oszicar", "vasp_stdout"}:
        return "vasp"
    from .vasp_verdict import vasp_symptom

    inputs = {path.name.removesuffix(".gz") for path in directory.iterdir()}
    named = any("/vasp" in output.text.lower() for output in outputs.of("text"))
    if named or inputs & {"INCAR", "POSCAR", "POTCAR", "KPOINTS"} or vasp_symptom(outputs):
        return "vasp"
    return "espresso"
