"""A stand-in for VASP: reads the four inputs, computes with EMT, writes VASP's outputs.

``python stand_in_vasp.py`` in a directory with INCAR, POSCAR and POTCAR (KPOINTS may be absent)
writes vasprun.xml, OUTCAR, OSZICAR and CONTCAR, and prints what VASP prints.

Told by the environment variable STAND_IN_VASP it fails: ``KEY`` is one of custodian's error keys,
or ``unconverged``, ``cut`` (vasprun.xml is), ``killed``, ``slow``. ``KEY@0.2`` fails for a fifth
of the structures, chosen by their POSCAR; crystals of up to four atoms are spared. A failure
lasts until an INCAR tag is changed, which is what custodian's repairs do; ``KEY!`` lasts for ever.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.units import GPa

VERSION = "6.4.2"
STEPS = 8


def main() -> int:
    """Run in the current directory; returns the exit code."""
    incar = read_incar(Path("INCAR"))
    if not Path("POTCAR").read_text().strip():
        print(" ERROR: POTCAR is missing")
        return 1
    print(f" running on    1 total cores\n vasp.{VERSION} 20Jul23 (stand-in) complex")
    print(" POSCAR found type information on POSCAR\n entering main loop", flush=True)
    failure = _failure()
    if failure == "slow":
        time.sleep(60)
    if failure == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if failure in ("kpoints_trans", "out_of_memory"):
        print(_messages()[failure], file=sys.stderr)
        return 1
    if failure and failure not in ("unconverged", "cut"):
        print(f" {_messages()[failure]}")
        return 1
    compute(incar, failure)
    return 0


def compute(incar: dict[str, str], failure: str) -> None:
    """Energy, forces and stress by EMT, as VASP writes them."""
    atoms = read_poscar(Path("POSCAR"))
    atoms.calc = EMT()
    energy = float(atoms.get_potential_energy())
    forces = atoms.get_forces()
    stress = -atoms.get_stress(voigt=False) / GPa * 10.0  # kbar, positive in compression
    most = int(incar.get("NELM", 60))
    steps = most if failure == "unconverged" or most < STEPS else STEPS
    wanted = float(incar.get("EDIFF", 1e-4))  # what the last step changes is half of it
    pace = wanted ** (1 / (STEPS - 1)) if steps == STEPS else 0.9
    energies = [energy + 0.5 * pace**step for step in range(1, steps)] + [energy]
    text = vasprun(incar, atoms, energies, forces, stress)
    Path("vasprun.xml").write_text(text[: len(text) // 2] if failure == "cut" else text)
    Path("OUTCAR").write_text(outcar(incar, atoms, energies, forces, stress))
    Path("OSZICAR").write_text(oszicar(energies))
    print(oszicar(energies))
    Path("CONTCAR").write_bytes(Path("POSCAR").read_bytes())


def read_poscar(path: Path) -> Atoms:
    """Atoms of a POSCAR with element names and Cartesian positions."""
    lines = path.read_text().splitlines()
    cell = float(lines[1]) * np.array([[float(x) for x in line.split()] for line in lines[2:5]])
    names, counts = lines[5].split(), [int(n) for n in lines[6].split()]
    symbols = [name for name, n in zip(names, counts, strict=True) for _ in range(n)]
    rows = np.array([[float(x) for x in line.split()] for line in lines[8 : 8 + len(symbols)]])
    direct = lines[7].strip().lower().startswith("d")
    return Atoms(symbols, positions=rows @ cell if direct else rows, cell=cell, pbc=True)


def read_incar(path: Path) -> dict[str, str]:
    """Tags of an INCAR as texts."""
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _failure() -> str:
    """The failure that this run was told to have; empty for none."""
    told = os.environ.get("STAND_IN_VASP", "")
    key, _, fraction = told.partition("@")
    for_ever = key.endswith("!")
    key = key.rstrip("!")
    digest = hashlib.sha256(Path("POSCAR").read_bytes()).digest()
    small = len(read_poscar(Path("POSCAR"))) <= 4
    if not key or (fraction and (small or digest[0] >= 256 * float(fraction))):
        return ""
    first = Path("stand-in.first")
    if not first.exists():
        first.write_bytes(Path("INCAR").read_bytes())
    mended = first.read_bytes() != Path("INCAR").read_bytes()
    if key in ("cut", "killed"):  # no tag mends these: the second run is well
        mended = Path("attempt-1").exists()
    return "" if mended and not for_ever else key


def _messages() -> dict[str, str]:
    """custodian's key -> what VASP prints; a test holds it against custodian."""
    return dict(line.split("|", 1) for line in MESSAGES.strip().splitlines())


def vasprun(incar, atoms, energies, forces, stress) -> str:
    """Text of vasprun.xml."""
    tags = "\n".join(f'  <i type="string" name="{k}">{escape(v)}</i>' for k, v in incar.items())
    symbols = "".join(f"<rc><c>{s} </c><c> 1</c></rc>\n" for s in atoms.get_chemical_symbols())
    types = "".join(
        f"<rc><c> {n}</c><c>{s} </c><c> 1.0</c><c> 3.0</c><c>  PAW_PBE {s} 01Jan2026 </c></rc>\n"
        for s, n in sorted(atoms.symbols.formula.count().items())
    )
    basis = varray("basis", atoms.cell.array)
    crystal = f"<crystal>\n{basis}\n</crystal>"
    structure = crystal + varray("positions", atoms.get_scaled_positions(wrap=False))
    steps = "".join(
        f'<scstep>\n<energy>\n<i name="e_fr_energy"> {e:.8f} </i>\n'
        f'<i name="e_wo_entrp"> {e + 1e-4:.8f} </i>\n<i name="e_0_energy"> {e + 5e-5:.8f} </i>\n'
        f'<i name="eentropy"> -0.0001 </i></energy>\n</scstep>\n'
        for e in energies
    )
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator>
  <i name="program" type="string">vasp </i>
  <i name="version" type="string">{VERSION}  </i>
 </generator>
 <incar>
{tags}
 </incar>
 <kpoints>
  <varray name="kpointlist" >
   <v> 0.00000000 0.00000000 0.00000000 </v>
  </varray>
  <varray name="weights" >
   <v> 1.00000000 </v>
  </varray>
 </kpoints>
 <parameters>
  <separator name="electronic" >
   <i type="int" name="NELM"> {incar.get("NELM", 60)}</i>
   <i type="int" name="ICHARG"> 2</i>
   <i name="NELECT"> {3.0 * len(atoms)}</i>
   <i type="int" name="NBANDS"> {incar.get("NBANDS", 16)}</i>
   <i type="int" name="ISMEAR"> {incar.get("ISMEAR", 1)}</i>
  </separator>
 </parameters>
 <atominfo>
  <atoms> {len(atoms)} </atoms>
  <array name="atoms" >
   <dimension dim="1">ion</dimension>
   <field type="string">element</field>
   <field type="int">atomtype</field>
   <set>
{symbols}   </set>
  </array>
  <array name="atomtypes" >
   <dimension dim="1">type</dimension>
   <set>
{types}   </set>
  </array>
 </atominfo>
 <structure name="initialpos" >
  {structure}
 </structure>
 <calculation>
{steps}  <structure>
   {structure}
  </structure>
  {varray("forces", forces)}
  {varray("stress", stress)}
  <energy>
   <i name="e_fr_energy"> {energies[-1]:.8f} </i>
   <i name="e_wo_entrp"> {energies[-1] + 1e-4:.8f} </i>
   <i name="e_0_energy"> {energies[-1] + 5e-5:.8f} </i>
  </energy>
 </calculation>
 <structure name="finalpos" >
  {structure}
 </structure>
</modeling>
"""


def varray(name: str, rows: np.ndarray) -> str:
    """A block of rows, with the digits that VASP prints."""
    lines = "".join(f"<v> {' '.join(f'{x:16.12f}' for x in row)} </v>\n" for row in rows)
    return f'<varray name="{name}" >\n{lines}</varray>'


def outcar(incar, atoms, energies, forces, stress) -> str:
    """Text of the OUTCAR."""
    order = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)]
    kbar = " ".join(f"{stress[i, j]:12.5f}" for i, j in order)
    most = int(incar.get("NELM", 60))
    end = "is reached" if len(energies) < most else "was not reached (unconverged)"
    table = "\n".join(
        " ".join(f"{x:12.6f}" for x in [*position, *force])
        for position, force in zip(atoms.positions, forces, strict=True)
    )
    iterations = "\n".join(
        f"--------- Iteration      1({i:4d})  ---------\n  free energy    TOTEN  =  {e:18.8f} eV"
        for i, e in enumerate(energies, 1)
    )
    return f""" vasp.{VERSION} 20Jul23 (stand-in) complex

 executed on             LinuxIFC date 2026.01.01  00:00:00
 running on    1 total cores
   k-points           NKPTS =      1   number of bands    NBANDS= {incar.get("NBANDS", 16):>6}
   dimension x,y,z NGX =    24 NGY =   24 NGZ =   24
   total plane-waves  NPLWV =  13824
   NELECT =      {3 * len(atoms)}.0000    total number of electrons
   number of dos      NEDOS =    301   number of ions     NIONS = {len(atoms):6d}
   ISPIN  =      {incar.get("ISPIN", 1)}    spin polarized calculation?
   ICHARG =      2    charge: 1-file 2-atom 10-const
   NELM   =    {most};   NELMIN=  2; NELMDL= -5     # of ELM steps
   NSW    =      0    number of steps for IOM
   IBRION =     -1    ionic relax: 0-MD 1-quasi-New 2-CG
{iterations}
------------------------ aborting loop because EDIFF {end} -----------
  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  free  energy   TOTEN  =  {energies[-1]:18.8f} eV
  in kB  {kbar}
 number of electron  {3 * len(atoms)}.0000000 magnetization  0.0000000
 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
{table}
 -----------------------------------------------------------------------------------
    total drift:                                0.000000      0.000000      0.000000
 General timing and accounting informations for this job:
                  Total CPU time used (sec):        0.100
"""


def oszicar(energies: list[float]) -> str:
    """Text of the OSZICAR."""
    lines = ["       N       E                     dE             d eps       ncg     rms"]
    before = 0.0
    for step, energy in enumerate(energies, 1):
        lines.append(
            f"DAV: {step:3d}    {energy:.12E}   {energy - before:.5E}   0.1E-03   64  0.1E-02"
        )
        before = energy
    lines.append(f"   1 F= {energies[-1]:.8E} E0= {energies[-1]:.8E}  d E =0.000000E+00")
    return "\n".join(lines) + "\n"


MESSAGES = """
tet|Tetrahedron method fails (number of k-points < 4)
ksymm|Fatal error detecting k-mesh
inv_rot_mat|rotation matrix was not found (increase SYMPREC)
brmix|BRMIX: very serious problems
subspacematrix|WARNING: Sub-Space-Matrix is not hermitian in DAV
tetirr|Routine TETIRR needs special values
incorrect_shift|Could not get correct shifts
real_optlay|REAL_OPTLAY: internal error
rspher|ERROR RSPHER
dentet|DENTET
too_few_bands|TOO FEW BANDS
triple_product|ERROR: the triple product of the basis vectors
rot_matrix|Found some non-integer element in rotation matrix
brions|BRIONS problems: POTIM should be increased
pricel|internal error in subroutine PRICEL
zpotrf|LAPACK: Routine ZPOTRF failed
amin|One of the lattice vectors is very long (>50 A), but AMIN
zbrent|ZBRENT: fatal internal in
pssyevx|ERROR in subspace rotation PSSYEVX
pdsyevx|ERROR in subspace rotation PDSYEVX
eddrmm|WARNING in EDDRMM: call to ZHEGV failed
edddav|Error EDDDAV: Call to ZHEGV failed
algo_tet|ALGO=A and IALGO=5X tend to fail
grad_not_orth|EDWAV: internal error, the gradient is not orthogonal
nicht_konv|ERROR: SBESSELITER : nicht konvergent
zheev|ERROR EDDIAG: Call to routine ZHEEV failed!
eddiag|ERROR in EDDIAG: call to ZHEEV/ZHEEVX/DSYEV/DSYEVX failed
elf_kpar|ELF: KPAR>1 not implemented
elf_ncl|WARNING: ELF not implemented for non collinear case
rhosyg|RHOSYG
posmap|POSMAP
point_group|group operation missing
pricelv|PRICELV: current lattice and primitive lattice are incommensurate
symprec_noise|determination of the symmetry of your systems shows a strong
dfpt_ncore|PEAD routines do not work for NCORE
bravais|Inconsistent Bravais lattice
nbands_not_sufficient|number of bands is not sufficient
hnform|HNFORM: k-point generating
coef|while reading plane
set_core_wf|internal error in SET_CORE_WF
read_error|Error reading item
auto_nbands|The number of bands has been changed
ibzkpt|not all point group operations
fexcf|supplied exchange-correlation table
spin_polarized_harris|Spin polarized Harris functional dynamics is a good joke
kpoints_trans|internal error in GENERATE_KPOINTS_TRANS: number of G-vector changed in star
out_of_memory|Allocation would exceed memory limit
"""


if __name__ == "__main__":
    sys.exit(main())
