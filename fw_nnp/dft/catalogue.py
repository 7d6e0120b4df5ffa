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


MORE_STEPS = _electrons("double electron_maxstep", electron_maxstep="*2")
RERUN = Action(name="run once more", kind="resource")

MORE_BANDS = Symptom(
    error_class="bands",
    patterns=(r"charge is wrong", r"cannot bracket Ef", r"too few bands\s*$"),
    ladder=tuple(
        Action(name=f"more bands ({i})", kind="numerical", keywords={"system": {"nbnd": "*1.3"}})
        for i in (1, 2)
    ),
    advice="raise 'bands' of the level of theory",
)

# Searched from top to bottom: what names its cause stands above what only names its effect.
SYMPTOMS: tuple[Symptom, ...] = (
    Symptom(
        error_class="memory",
        patterns=(
            r"out of memory",
            r"oom-kill",
            r"cannot allocate memory",
            r"bad_alloc",
            r"error allocating",
            r"DUE TO NODE FAILURE",
        ),
        ladder=(Action(name="one pool", kind="resource", options=("-nk", "1")),),
        advice="give the job more memory or fewer calculations side by side",
    ),
    Symptom(
        error_class="geometry",
        patterns=(r"atoms #.*overlap", r"differ by lattice vector"),
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
            r"zhegvd? failed",
            r"eigenvectors failed to converge",
            r"too many bands are not converged",
            r"\[Q, R\] = qr\(X, 0\) failed",
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
        patterns=(r"Error in routine broyden",),
        ladder=(
            _electrons("mixing_ndim 4", mixing_ndim=4),
            _electrons("mixing_ndim 2", mixing_ndim=2),
        ),
        advice="lower mixing_beta",
    ),
    Symptom(
        error_class="symmetry",
        patterns=(r"lone vector", r"not orthogonal operation", r"incompatible FFT grid"),
        ladder=(Action(name="nosym", kind="numerical", keywords={"system": {"nosym": True}}),),
        advice="round the positions and the cell to their symmetry",
    ),
    Symptom(
        error_class="parallel_layout",
        patterns=(
            r"Some processors have no plane waves!",
            r"Use pencil decomposition",
            r"Too few bands for required ndiag",
            r"some nodes have no k-points",
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
        patterns=(
            r"Maximum CPU time exceeded",
            r"CANCELLED AT .* DUE TO TIME LIMIT",
            r"DUE TO TIME LIMIT",
        ),
        advice="give it more time; it starts anew in the next chunk",
    ),
    Symptom(
        error_class="io",
        patterns=(
            r"Error in routine (davcio|diropn|open_buffer)",
            r"No space left on device",
            r"Disk quota exceeded",
        ),
        ladder=(Action(name="clean scratch, run once more", kind="resource"),),
        advice="make room on the scratch disk",
    ),
    Symptom(
        error_class="input",
        patterns=(
            r"Error in routine (read_namelists|read_cards|card_\w+|iosys|readpp|read_upf\w*)",
            r"reading namelist",
            r"bad line in namelist",
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
    patterns=(),
    ladder=(RERUN,),
    advice="was pw.x killed? look into its standard error",
)
INCOMPLETE = Symptom(
    error_class="incomplete", patterns=(), advice="look at the outputs; were they edited?"
)
UNKNOWN = Symptom(
    error_class="unknown",
    patterns=(r"Error in routine", r"Segmentation fault", r"Traceback", r"forrtl: severe"),
    advice="look up the quoted lines; add the symptom to fw_nnp/dft/catalogue.py",
)
ALL: tuple[Symptom, ...] = (*SYMPTOMS, FORCE_QUALITY, TRUNCATED, INCOMPLETE, UNKNOWN)


def symptom_of(error_class: str) -> Symptom:
    """The first row of a class."""
    return next(symptom for symptom in ALL if symptom.error_class == error_class)
