"""What goes wrong with pw.x: symptom -> class -> ladder of typed actions, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["numerical", "resource", "physics", "none"]


@dataclass(frozen=True, kw_only=True)
class Action:
    """One rung of a ladder.

    Attributes
    ----------
    name
        What a person reads.
    kind
        ``numerical`` and ``resource`` are done and recorded; ``physics`` is refused.
    keywords
        Namelist -> keyword -> new value; a text ``*2`` or ``/10`` scales the present value.
    options
        Command-line options for pw.x.
    """

    name: str
    kind: Kind
    keywords: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """A row of the table.

    Attributes
    ----------
    error_class
        Name that quarantine and ``fw-nnp diagnose`` print.
    patterns
        Regular expressions, searched line by line in the outputs.
    ladder
        Tried in order, each rung once; empty where the structure or the input is to blame.
    advice
        What a person can do when the ladder is at its end.
    """

    error_class: str
    patterns: tuple[str, ...]
    ladder: tuple[Action, ...] = ()
    advice: str


def _electrons(name: str, **keywords: Any) -> Action:
    return Action(name=name, kind="numerical", keywords={"electrons": keywords})


#: Opens the message of a fatal error of pw.x, in its standard output and its CRASH file.
BOX = r"(?:Error in routine\s+|^\s*from\s+(?=\S+\s*: error #))"

MORE_STEPS = _electrons("double electron_maxstep", electron_maxstep="*2")
RERUN = Action(name="run once more", kind="resource")
ONE_POOL = Action(name="one pool", kind="resource", options=("-nk", "1"))
MORE_MEMORY = "give the job more memory or fewer calculations side by side"

MORE_BANDS = Symptom(
    error_class="bands",
    patterns=(r"charge is wrong", r"cannot bracket Ef", r"too few (spin \w+ )?bands\s*$"),
    ladder=tuple(
        Action(name=f"more bands ({i})", kind="numerical", keywords={"system": {"nbnd": "*1.3"}})
        for i in (1, 2)
    ),
    advice="raise 'bands' of the level of theory",
)

# Reasons that the scheduler, the kernel or a library states, whatever the code: searched first,
# because what they end looks like something else from inside.
SCHEDULER: tuple[Symptom, ...] = (
    Symptom(
        error_class="frozen",
        patterns=(r"fw_nnp: silent for .* ended as frozen",),
        ladder=(RERUN,),
        advice="look at the node and its file system; the program stopped writing",
    ),
    Symptom(
        error_class="walltime",
        patterns=(
            r"DUE TO TIME LIMIT",
            r"walltime \S+ exceeded limit",
            r"exceeded (?:its )?(?:hard |soft )?(?:wall ?(?:time|clock)|run ?time|time limit)",
            r"TERM_RUNLIMIT",
            r"DUE TO PREEMPTION",
        ),
        advice="give it more time; it goes on in the next chunk",
    ),
    Symptom(
        error_class="memory",
        patterns=(
            r"out of memory",
            r"oom[-_ ]?kill",
            r"cannot allocate\b|allocation failed",
            r"bad_alloc",
            r"error allocating",
            r"(?:could not|failed to|unable to) allocate",
            r"(?:insufficient|not enough) (?:virtual )?memory",
            r"allocation would exceed memory limit",
            r"exceeded (?:job |step )?memory limit",
            r"mem \S+ exceeded limit",
            r"TERM_MEMLIMIT",
            r"DUE TO NODE FAILURE",
        ),
        ladder=(ONE_POOL,),
        advice=MORE_MEMORY,
    ),
    Symptom(
        error_class="io",
        patterns=(r"No space left on device", r"Disk quota exceeded", r"Stale file handle"),
        ladder=(Action(name="clean scratch, run once more", kind="resource"),),
        advice="make room on the scratch disk",
    ),
)

# Ends without a stated reason. A launcher kills the other ranks after one has failed, too, so
# these count only where the program said nothing; then the first one tells how it began.
KILLED: tuple[Symptom, ...] = (
    Symptom(
        error_class="memory",
        patterns=(
            r"^\s*(?:\S+:? line \d+: +\d+ )?Killed\b",
            r": Killed\s*$",
            r"KILLED BY SIGNAL: 9",
            r"exited on signal 9",
            r"signal 9 \(Killed\)",
            r"EXIT (?:CODE|STATUS): (?:9|137)\b",
            r"due to signal 9",
        ),
        ladder=(ONE_POOL,),
        advice=MORE_MEMORY,
    ),
    Symptom(
        error_class="walltime",
        patterns=(r"CANCELLED AT", r"KILLED BY SIGNAL: 15", r"exited on signal 15", r"\bSIGTERM\b"),
        advice="it was told to stop; it goes on in the next chunk",
    ),
)

# pw.x, searched from top to bottom: what names its cause stands above what only names its effect.
SYMPTOMS: tuple[Symptom, ...] = (
    *SCHEDULER,
    Symptom(
        error_class="geometry",
        patterns=(r"atoms? #.*overlap", r"differ by (a )?lattice vector", r"overlapping atoms"),
        advice="reject the structure",
    ),
    Symptom(
        error_class="bands",
        patterns=(r"charge is wrong: smearing is needed",),
        ladder=(Action(name="use smearing", kind="physics"),),
        advice="state a smearing in the level of theory",
    ),
    MORE_BANDS,
    Symptom(
        error_class="diagonalization",
        patterns=(
            r"problems computing cholesky",
            r"S matrix not positive definite",
            r"[zdsc](he|sy)gvx?d? failed",
            r"eigenvectors failed to converge",
            r"too many bands are not converged",
            r"\[Q, R\] = qr\(X, 0\) failed",
            BOX + r"\w*(diaghg|egterg|c_bands|diag_bands|ppcg|paro)\w*\b",
        ),
        ladder=(
            _electrons("diagonalise by ppcg", diagonalization="ppcg"),
            _electrons("diagonalise by paro", diagonalization="paro"),
            _electrons("diagonalise by cg", diagonalization="cg"),
        ),
        advice="look for atoms on top of each other; try another build of pw.x",
    ),
    Symptom(
        error_class="broyden",
        patterns=(BOX + r"(mix_)?broyden",),
        ladder=(
            _electrons("mixing_ndim 4", mixing_ndim=4),
            _electrons("mixing_ndim 2", mixing_ndim=2),
        ),
        advice="lower mixing_beta",
    ),
    Symptom(
        error_class="symmetry",
        patterns=(
            r"lone vector",
            r"not orthogonal operation",
            r"symmetry operation.* (?:is|are)? ?not (?:orthogonal|satisfied)",
            r"incompatible FFT grid",
            BOX + r"(\w*divide_class\w*|d_matrix\w*|find_group|multable|inverse_s|coset)\b",
            BOX + r"(checkallsym|sym_rho\w*|sgama?\w*|smallgk\w*|tipo_sym|set_irr_rap\w*)\b",
        ),
        ladder=(Action(name="nosym", kind="numerical", keywords={"system": {"nosym": True}}),),
        advice="round the positions and the cell to their symmetry",
    ),
    Symptom(
        error_class="parallel_layout",
        patterns=(
            r"Some processors have no plane waves!",
            r"Use pencil decomposition",
            r"Too few bands for required ndiag",
            r"^\s*some nodes have no k-points",
            r"No plane waves found: running on too many processors",
            r"invalid number of (?:pools|band groups|images|procs|parallelization)",
            r"must be (?:a )?divisor of (?:parent_)?nproc",
            r"pools with no k-points not allowed",
            r"not (?:available|implemented) with pools",
        ),
        ladder=(
            Action(
                name="one pool, serial diagonalisation",
                kind="resource",
                options=("-nk", "1", "-ndiag", "1"),
            ),
            Action(name="pencil decomposition", kind="resource", options=("-pd", "true")),
        ),
        advice="run pw.x on fewer ranks",
    ),
    Symptom(
        error_class="walltime",
        patterns=(r"Maximum CPU time exceeded", r"Program stopped by user request"),
        advice="give it more time; it goes on in the next chunk",
    ),
    Symptom(
        error_class="io",
        patterns=(
            BOX + r"(davcio|diropn|open_buffer|get_buffer|save_buffer|restart_from_file)\b",
            BOX + r"(pw_restart\w*|read_rhog|write_rhog|read_collected\w*|read_xml_file\w*)\b",
            BOX + r"(read_conf_from_file|qexsd_readschema|qes_read|wfcinit|seqopn|write_\w+)\b",
            BOX + r"(check_tempdir|potinit|read_wfc\w*|pw_readschemafile|wfcfile|io_rho_xml)\b",
            BOX + r"(create_directory|read_scf|plot_io|prepare_for_reading\w*)\b",
            BOX + r"(?:error in )?\w*(?:hdf5|h5)\w*",
        ),
        ladder=(Action(name="clean scratch, run once more", kind="resource"),),
        advice="make room on the scratch disk",
    ),
    Symptom(
        error_class="input",
        patterns=(
            BOX + r"(read_namelists|read_cards|card_\w+|read_input\w*|iosys|input|setup)\b",
            BOX + r"(readpp|read_pseudo\w*|read_upf\w*|upf_\w+|read_ncpp|read_uspp|import_upf)\b",
            BOX + r"(cell_base_init|latgen|set_dft\w*|dft_\w+|\w*checkin|check_\w+|set_cutoff)\b",
            BOX + r"(init_pos|esm_check|init_start_k|dftd3\w*|memory_report)\b",
            BOX + r"(tabd|offset_atom_wfc|\w*hubbard\w*|intersite_v|ld[ay]u\w*|atomic_number)\b",
            BOX + r"(kpoint_grid|set_occupations|set_spin\w*|read_file|ibrav2cell|sumkg)\b",
            BOX + r"(cards|add_kpoints?|read_line|field_compare|abc2celldm|init_constraint)\b",
            BOX + r"(\w*lda_plus_u|init_london|energy_xdm|tsvdw|beef_set_type|exx_grid_\w+)\b",
            BOX + r"(allocate_fft|init_dofree|cell_dofree|ref_cell\w*|trimcheck|wypos)\b",
            BOX + r".*\bnot (?:yet )?(?:implemented|programmed|supported|available|compiled)\b",
            BOX + r".*\b(?:NYI|unknown (?:value|option)|not recogni[sz]ed|unrecogni[sz]ed)\b",
            r"reading namelist",
            r"bad line in namelist",
            r"specify occupations",
        ),
        advice="correct the level of theory; pw.x said what it does not accept",
    ),
    Symptom(
        error_class="scf_not_converged",
        patterns=(r"convergence NOT achieved after",),
        ladder=(
            _electrons("mixing_beta 0.4", mixing_beta=0.4),
            _electrons("mixing_beta 0.2", mixing_beta=0.2),
            _electrons("mixing_beta 0.1", mixing_beta=0.1),
            _electrons("mixing_mode local-TF", mixing_mode="local-TF"),
            _electrons("mixing_ndim 12", mixing_ndim=12),
            _electrons("diagonalise by cg", diagonalization="cg"),
        ),
        advice="look at the structure; more bands or a wider smearing is another level of theory",
    ),
)

# Classes that are found without a text of pw.x.
FORCE_QUALITY = Symptom(
    error_class="force_quality",
    patterns=(r"SCF correction compared to forces is large",),
    ladder=tuple(_electrons(f"conv_thr / 1e{i}", conv_thr="/10") for i in (1, 2)),
    advice="lower conv_thr of the level of theory",
)
TRUNCATED = Symptom(
    error_class="truncated",
    patterns=(r"fw_nnp: ended by signal \d+",),
    ladder=(RERUN,),
    advice="was pw.x killed? look into its standard error",
)
INCOMPLETE = Symptom(
    error_class="incomplete",
    patterns=(),
    advice="run a single point with tprnfor and tstress: a label needs forces and stress",
)
CRASHED = (
    r"Segmentation fault",
    r"SIG(SEGV|ILL|FPE|BUS|ABRT)\b",
    r"failed to locate mpirun|command not found|cannot open shared object",
    r"Traceback",
    r"forrtl: severe|Fortran runtime error|Program received signal",
)
UNKNOWN = Symptom(
    error_class="unknown",
    patterns=(
        BOX,
        r"dexx is negative",
        r"G_par is NOT a reciprocal lattice vector",
        r"Not enough space allocated for radial FFT",
        r"history already reset at previous step: stopping",
        r"bfgs failed after",
        *CRASHED,
    ),
    advice="look up the quoted lines; add the symptom to fw_nnp/dft/catalogue.py",
)
# Says that it ended, but not why.
ABORTED = Symptom(
    error_class="unknown",
    patterns=(r"MPI_ABORT|BAD TERMINATION|exited on signal",),
    advice="look for what was printed before it",
)
ALL: tuple[Symptom, ...] = (
    *SYMPTOMS,
    FORCE_QUALITY,
    *KILLED,
    TRUNCATED,
    INCOMPLETE,
    UNKNOWN,
    ABORTED,
)


def symptom_of(error_class: str) -> Symptom:
    """The first row of a class."""
    return next(symptom for symptom in ALL if symptom.error_class == error_class)
