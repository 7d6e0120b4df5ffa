"""What goes wrong with VASP: custodian's own keys and texts, and what a repair would change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from custodian.vasp.handlers import (
    AliasingErrorHandler,
    LrfCommutatorHandler,
    StdErrHandler,
    VaspErrorHandler,
)

from .catalogue import CRASHED, Kind


@dataclass(frozen=True)
class Remedy:
    """Kind of the first repair of a class, and what it is."""

    kind: Kind
    action: str


# custodian's key -> the first of its actions for a static run, typed; see vasp_actions.py.
REMEDIES: Mapping[str, Remedy] = {
    "aliasing": Remedy("physics", "a denser FFT grid"),
    "aliasing_incar": Remedy("physics", "leave the FFT grid to VASP"),
    "algo_tet": Remedy("numerical", "ALGO = Fast"),
    "amin": Remedy("numerical", "AMIN = 0.01"),
    "bravais": Remedy("numerical", "SYMPREC = 1e-6, then ISYM = 0"),
    "brions": Remedy("none", "a step of a relaxation: no remedy for a single point"),
    "brmix": Remedy("numerical", "start again from the density, then IMIX = 1"),
    "coef": Remedy("numerical", "delete WAVECAR"),
    "dentet": Remedy("physics", "more k-points, or another smearing"),
    "dfpt_ncore": Remedy("resource", "leave NCORE and NPAR to VASP"),
    "edddav": Remedy("numerical", "delete CHGCAR, ALGO = All"),
    "eddiag": Remedy("numerical", "ALGO = Normal, then All"),
    "eddrmm": Remedy("numerical", "ALGO = Normal, delete CHGCAR and WAVECAR"),
    "elf_kpar": Remedy("resource", "KPAR = 1"),
    "elf_ncl": Remedy("none", "leave out LELF"),
    "fexcf": Remedy("none", "look at the structure: its density leaves the tables"),
    "grad_not_orth": Remedy("numerical", "another ALGO, then more bands"),
    "hnform": Remedy("numerical", "ISYM = 0"),
    "ibzkpt": Remedy("numerical", "ISYM = 0, then SYMPREC = 1e-6"),
    "incorrect_shift": Remedy("physics", "a Gamma-centred k-point grid"),
    "inv_rot_mat": Remedy("numerical", "SYMPREC = 1e-4, then ISYM = 0"),
    "kpoints_trans": Remedy("numerical", "ISYM = 0"),
    "ksymm": Remedy("numerical", "SYMPREC = 1e-6, then ISYM = 0"),
    "lrf_comm": Remedy("numerical", "LPEAD = True"),
    "mesh_symmetry": Remedy("numerical", "ISYM = 0"),
    "nbands_not_sufficient": Remedy("numerical", "more bands"),
    "nicht_konv": Remedy("physics", "LREAL = False"),
    "pdsyevx": Remedy("numerical", "ALGO = Normal"),
    "point_group": Remedy("numerical", "ISYM = 0"),
    "posmap": Remedy("numerical", "SYMPREC / 10, then x 100, then ISYM = 0"),
    "pricel": Remedy("numerical", "SYMPREC = 1e-8, ISYM = 0"),
    "pricelv": Remedy("numerical", "SYMPREC / 10, then x 100, then ISYM = 0"),
    "pssyevx": Remedy("numerical", "ALGO = Normal"),
    "read_error": Remedy("none", "correct the INCAR"),
    "real_optlay": Remedy("physics", "LREAL = False"),
    "rhosyg": Remedy("numerical", "SYMPREC = 1e-4, then ISYM = 0"),
    "rot_matrix": Remedy("numerical", "ISYM = 0"),
    "rspher": Remedy("physics", "LREAL = False"),
    "set_core_wf": Remedy("none", "newer POTCAR files"),
    "spin_polarized_harris": Remedy("none", "NSW = 0"),
    "subspacematrix": Remedy("physics", "LREAL = False, then PREC = Accurate"),
    "symprec_noise": Remedy("numerical", "SYMPREC = 1e-6, then ISYM = 0"),
    "tet": Remedy("physics", "another smearing than tetrahedra"),
    "tetirr": Remedy("physics", "a Gamma-centred k-point grid"),
    "too_few_bands": Remedy("numerical", "10 % more bands"),
    "triple_product": Remedy("physics", "other lattice vectors: give a right-handed cell"),
    "zbrent": Remedy("numerical", "EDIFF / 10, NELMIN = 8"),
    "zheev": Remedy("numerical", "ALGO = Normal, then All"),
    "zpotrf": Remedy("numerical", "ISYM = 0; NCORE = 1 for few atoms"),
    # The classes that are not custodian's.
    "scf_not_converged": Remedy("numerical", "double NELM where it converges, else another ALGO"),
    "positive_energy": Remedy("none", "look at the structure: its energy is positive"),
    "memory": Remedy("resource", "halve KPAR; give the job more memory"),
    "walltime": Remedy("none", "give it more time; it goes on in the next chunk"),
    "frozen": Remedy("resource", "run once more"),
    "io": Remedy("resource", "clean scratch, run once more"),
    "input": Remedy("none", "correct the inputs; VASP said what it does not accept"),
    "truncated": Remedy("resource", "run once more"),
    "incomplete": Remedy("none", "a static run prints forces and stress: look at its INCAR"),
    "unknown": Remedy("none", "look up the quoted lines"),
}

# What other versions and the Γ-only program say for the same.
ALSO: Mapping[str, tuple[str, ...]] = {
    "fexcf": ("FEXCP: supplied",),
    "inv_rot_mat": ("inverse of rotation matrix was not found",),
    "zbrent": ("ZBRENT: fatal",),
    "zheev": ("ERROR EDDIAG: Call to routine",),
    "zpotrf": ("Routine DPOTRF failed", "Routine PZPOTRF failed", "Routine PDPOTRF failed"),
}

#: custodian's key -> its texts, of standard output and of standard error.
MESSAGES: Mapping[str, tuple[str, ...]] = {
    **{key: (*texts, *ALSO.get(key, ())) for key, texts in VaspErrorHandler.error_msgs.items()},
    "kpoints_trans": tuple(StdErrHandler.error_msgs["kpoints_trans"]),
    **{key: tuple(texts) for key, texts in LrfCommutatorHandler.error_msgs.items()},
    **{key: tuple(texts) for key, texts in AliasingErrorHandler.error_msgs.items()},
    "mesh_symmetry": ("Reciprocal lattice and k-lattice belong to different class of lattices",),
}

#: Warnings that never end a run: they matter only where nothing else is known.
PASSING = frozenset({"aliasing", "aliasing_incar", "amin", "elf_ncl", "symprec_noise"})
#: Printed beside good results, too.
HARMLESS = PASSING | {"mesh_symmetry"}
#: Said of the layout, not of the result.
REMARKS = frozenset({"auto_nbands"})
#: Warnings of a run that goes on; an error that ends it stands above them.
WARNINGS = frozenset({*HARMLESS, "subspacematrix", "dentet", "eddrmm", "brmix", "brions"})
#: Of two keys that one text has, the one that says more.
RATHER: Mapping[str, str] = {"tet": "tetirr", "grad_not_orth": "algo_tet"}

INPUT = (
    r"POTCAR.*(incompatible|inconsistent)",
    r"number of (atoms|species|ions) .*(wrong|differ|incompatible)",
    r"No initial positions read in",
    r"ERROR: there must be \d",
    r"(INCAR|POSCAR|KPOINTS|POTCAR).*(not found|does not exist|could not be read|is missing)",
    r"Error reading (KPOINTS|POSCAR|POTCAR)",
    r"No (INCAR|POSCAR|KPOINTS|POTCAR) found",
    r"charge density could not be read from file",
    r"forrtl: severe \(\d+\):.*\b(INCAR|POSCAR|KPOINTS|POTCAR)\b",
    r"calculations require that VASP is compiled",
)
STOPPED = (r"hard stop encountered", r"soft stop encountered")
UNKNOWN = (
    r"REFUSE TO CONTINUE WITH THIS SICK JOB",
    r"VERY BAD NEWS",
    r"internal error in",
    r"Please submit a bug report",
    r"^\s*(\|\s*)?ERROR\b",
    *CRASHED,
)
