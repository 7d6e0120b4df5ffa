"""A LAMMPS input in which ``pair_style fw_nnp`` is understood: cut where the potential enters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from fw_nnp.core.errors import SpecError

from .potential import Precision

STYLE = "fw_nnp"
USAGE = "pair_style fw_nnp model.pt [single|double], then pair_coeff * * and an element per type"
_PRECISIONS = ("single", "double")


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What LAMMPS itself reads."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Ours:
    """A ``pair_style`` or ``pair_coeff`` of fw_nnp, its variables not yet replaced."""

    command: str
    place: str


def parts(text: str, name: str) -> list[Lines | Ours]:
    """An input file, cut before and after each command of the potential.

    Raises
    ------
    SpecError
        A command that does not work with the potential; `name` is that of the file.
    """
    found: list[Lines | Ours] = []
    waiting: list[str] = []
    active = used = False
    for number, command in _commands(text):
        words = words_of(command)
        place = f"{name}:{number}"
        if words[:1] in (["pair_style"], ["clear"]):
            active = words[1:2] == [STYLE]
        if active and words[:1] in (["pair_style"], ["pair_coeff"]):
            found += [Lines(text="\n".join(waiting) + "\n"), Ours(command=command, place=place)]
            waiting.clear()
            used = True
        else:
            _refuse(words, place)
            waiting.append(command)
    if not used:
        raise SpecError(f"no pair_style {STYLE} in it", place=name, remedy=USAGE)
    return [*found, Lines(text="\n".join(waiting) + "\n")]


def _commands(text: str) -> Iterator[tuple[int, str]]:
    """(line number, command), continued lines joined."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        while line.rstrip().endswith("&"):
            line = line.rstrip()[:-1] + next(lines, (0, ""))[1]
        yield number, line


def _refuse(words: Sequence[str], place: str) -> None:
    """What would go wrong in silence."""
    if words[:1] == ["pair_style"] and STYLE in words:
        raise SpecError(
            f"{words[1]} does not work with {STYLE}",
            place=place,
            remedy=f"use {STYLE} as the only pair style",
        )
    if words[:1] == ["neigh_modify"] and "exclude" in words:
        raise SpecError(
            f"excluded pairs do not work with {STYLE}",
            place=place,
            remedy="hold atoms with fix setforce instead",
        )
    if words[:2] == ["run_style", "respa"]:
        raise SpecError(f"respa does not work with {STYLE}", place=place, remedy="use verlet")


def words_of(command: str) -> list[str]:
    """The words of a command without its comment; quotes are taken off."""
    found = re.findall(r'"[^"]*"|\'[^\']*\'|#.*|[^\s#]+', command)
    return [word.strip("\"'") for word in found if not word.startswith("#")]


@dataclass(frozen=True, kw_only=True)
class PairStyle:
    """``pair_style fw_nnp MODEL [single|double]``."""

    model: Path
    precision: Precision


def read_pair_style(words: Sequence[str], place: str) -> PairStyle:
    """What a ``pair_style fw_nnp`` says.

    Raises
    ------
    SpecError
        It says something else.
    """
    model, precision = [*words[2:], "single"][:2] if len(words) > 2 else ("", "")
    if len(words) > 4 or precision not in _PRECISIONS:
        raise SpecError(f"cannot read '{' '.join(words)}'", place=place, remedy=USAGE)
    if not Path(model).is_file():
        raise SpecError(f"no model file '{model}'", place=place, remedy="name a model.pt")
    return PairStyle(model=Path(model), precision=cast(Precision, precision))


def read_pair_coeff(words: Sequence[str], place: str) -> list[str]:
    """The elements of a ``pair_coeff * * ELEMENT ...``, one for each atom type.

    Raises
    ------
    SpecError
        It says something else.
    """
    if list(words[1:3]) != ["*", "*"] or len(words) < 4:
        raise SpecError(f"cannot read '{' '.join(words)}'", place=place, remedy=USAGE)
    return list(words[3:])
