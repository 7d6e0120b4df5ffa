"""The type of every change that custodian makes to a run of VASP.

Numerical and resource changes leave the answer as it is; physics changes make another level of
theory, or another structure. What is not known here counts as physics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .catalogue import Kind

# How the self-consistency is reached, not what it is.
NUMERICAL = {"ALGO", "IALGO", "ISEARCH", "TIME", "NELM", "NELMIN", "NELMDL", "EDIFF", "LDIAG"}
NUMERICAL |= {"AMIX", "BMIX", "AMIX_MAG", "BMIX_MAG", "AMIN", "IMIX", "INIMIX", "MIXPRE", "MAXMIX"}
NUMERICAL |= {"ISTART", "NBANDS", "ISYM", "SYMPREC", "LPEAD"}
RESOURCE = {"NCORE", "NPAR", "KPAR", "NSIM", "LPLANE", "LSCALAPACK", "LSCALU", "LWAVE", "LCHARG"}
# Values of ALGO that keep the density: no self-consistency.
NOT_SELF_CONSISTENT = {"none", "nothing", "eigenval", "exact", "subrot", "chi"}


@dataclass(frozen=True)
class Change:
    """One change: its kind, what it does in words, and custodian's action for it alone."""

    kind: Kind
    text: str
    action: Mapping[str, Any]


def changes_of(actions: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Take custodian's actions apart, one change per tag or file."""
    found: list[Change] = []
    for action in actions:
        if "dict" in action:
            found += _tags(str(action["dict"]), action)
        else:
            found.append(_file(str(action.get("file", "")), action))
    return found


def _tags(name: str, action: Mapping[str, Any]) -> list[Change]:
    found = []
    for verb, tags in action["action"].items():
        for tag, value in tags.items():
            alone = {**action, "action": {verb: {tag: value}}}
            text = f"unset {tag}" if verb == "_unset" else f"{tag} = {_short(value)}"
            kind = kind_of_tag(str(tag).upper(), value) if name == "INCAR" else "physics"
            found.append(Change(kind, text if name == "INCAR" else f"{name}: {text}", alone))
    return found


def kind_of_tag(tag: str, value: Any) -> Kind:
    """The type of setting (or unsetting) an INCAR tag."""
    if tag in RESOURCE:
        return "resource"
    if tag in ("ALGO", "IALGO") and str(value).lower() in NOT_SELF_CONSISTENT:
        return "physics"
    if tag == "ICHARG":
        return "numerical" if str(value) in ("0", "1", "2") else "physics"
    return "numerical" if tag in NUMERICAL else "physics"


def _file(name: str, action: Mapping[str, Any]) -> Change:
    (verb, options) = next(iter(action["action"].items()))
    if verb == "_file_delete" and name in ("CHGCAR", "WAVECAR", "CHG", "TMPCAR"):
        return Change("numerical", f"delete {name}", action)
    target = options.get("dest", "") if isinstance(options, Mapping) else ""
    return Change("physics", f"{verb.strip('_')} {name} {target}".strip(), action)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else f"{text[:57]}..."
