"""What a campaign needs from outside its file, looked at before anything is submitted."""

from __future__ import annotations

from pathlib import Path

from fw_nnp.core.errors import SpecError
from fw_nnp.core.specs import CampaignSpec, EmpiricalSpec, ImportSpec, VaspSpec
from fw_nnp.dft.theory import theory_of
from fw_nnp.potentials import make_potential
from fw_nnp.potentials.setfl import find_baseline
from fw_nnp.services.engines import find_programs


def check_files(spec: CampaignSpec, *, base: Path) -> None:
    """Look for pseudopotentials, POTCARs, potentials and imported files, as the workers will.

    The folder of LAMMPS' own potentials may be on the workers only; where this machine has
    none, they are not looked for.

    Raises
    ------
    SpecError
        A file is missing or does not fit; names the key, the folder and the remedy.
    """
    if not isinstance(spec.relabel.theory, EmpiricalSpec):
        theory_of(spec.relabel.theory, base=base)
    for protocol in spec.sample.protocols:
        if isinstance(protocol, ImportSpec) and not (base / protocol.file).is_file():
            raise SpecError("no such file", place=f"sample.protocols: {base / protocol.file}")
    programs = find_programs()
    if programs.potentials is None:
        return
    potentials = [spec.sample.potential]
    if spec.sample.translate:
        potentials.append(spec.sample.translate.potential)
    for potential in potentials:
        make_potential(potential, lmp=programs.lmp, base=base, potentials_dir=programs.potentials)
    find_baseline(spec.train.model, base, programs.potentials)


def check_programs(spec: CampaignSpec) -> None:
    """Look for the programs that a campaign runs, where its workers are on this machine.

    Raises
    ------
    EngineError
        One is missing; the remedy names what to install.
    """
    programs = find_programs()
    potentials = [spec.sample.potential]
    if isinstance(spec.relabel.theory, EmpiricalSpec):
        potentials.append(spec.relabel.theory.potential)
    else:
        programs.require("vasp" if isinstance(spec.relabel.theory, VaspSpec) else "pw")
    if any(potential.engine == "lammps" for potential in potentials):
        programs.require("lmp")
