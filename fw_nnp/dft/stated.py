"""What the files of a calculation say of its level of theory, and which known one that is.

A campaign states its theory by rules: a k-spacing, bands per electron, pseudopotentials for more
elements than one cell has. A file states numbers for one cell. So a calculation belongs to a known
level of theory if that one's rules give the file's numbers. Where none does, the calculations that
one set of rules can explain get the roundest of these rules, in the form that a campaign has.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fw_nnp.core.records import FloatArray, LevelOfTheory
from fw_nnp.core.specs import EspressoSpec

from .espresso_input import k_grid

Range = tuple[float, float]
"""The values that a rule may have: from the first, up to and without the second."""
SAME = 1e-6  # relative: two cutoffs are one
DEFAULTS: Mapping[str, float] = {"bands": EspressoSpec.model_fields["bands"].default}


class Stated(Protocol):
    """What the files of one calculation say."""

    @property
    def ranges(self) -> Mapping[str, Range]:
        """Name of a rule -> the values with which it gives this calculation's numbers."""

    @property
    def species(self) -> Mapping[str, Any]:
        """Element -> pseudopotential and what else is stated by element."""

    def fits(self, theory: LevelOfTheory) -> bool:
        """Whether a known level of theory would have made this calculation."""

    def theory(self, rules: Mapping[str, float], species: Mapping[str, Any]) -> LevelOfTheory:
        """The level of theory as the files state it, with values for its rules."""


@dataclass(frozen=True)
class Grid:
    """A regular mesh of k-points.

    Attributes
    ----------
    cell
        (3, 3) Å.
    divisions
        Along each reciprocal vector.
    shifted
        Half a step off Γ.
    """

    cell: FloatArray
    divisions: tuple[int, int, int]
    shifted: bool

    @property
    def spacings(self) -> Range:
        """The k-spacings (1/Å, with 2π) that give this mesh; empty (from > to) for none."""
        lengths = 2.0 * np.pi * np.linalg.norm(np.linalg.inv(self.cell).T, axis=1)
        least = max(length / n for length, n in zip(lengths, self.divisions, strict=True))
        most = min(
            (length / (n - 1) if n > 1 else math.inf)
            for length, n in zip(lengths, self.divisions, strict=True)
        )
        return float(least), float(most)

    def made_by(self, spacing: float) -> bool:
        """Whether a k-spacing gives this mesh in this cell."""
        return k_grid(self.cell, spacing) == self.divisions


def same(first: float, second: float) -> bool:
    """Whether two numbers agree but for the digits that files leave out."""
    return math.isclose(first, second, rel_tol=SAME, abs_tol=1e-12)


def roundest(least: float, below: float) -> float:
    """The number with the fewest digits in ``least <= x < below``; of several the middle one."""
    if math.isinf(below):
        below = 2.0 * least
    least -= 1e-9 * abs(least)
    for digits in range(1, 17):
        step = 10.0 ** (math.floor(math.log10(max(abs(below), 1e-12))) + 1 - digits)
        first = math.ceil(least / step)
        inside = [n for n in range(first, first + 12) if least <= n * step < below and n > 0]
        if inside:
            middle = inside[(len(inside) - 1) // 2]
            return float(f"{middle * step:.{digits + 2}g}")
    return least


@dataclass
class Group:
    """Calculations that one set of rules explains."""

    key: str
    ranges: dict[str, Range]
    species: dict[str, Any]
    members: list[int]

    def takes(self, key: str, one: Stated, number: int) -> bool:
        """Take a calculation in if it can share rules and pseudopotentials."""
        ranges = {
            name: (max(low, self.ranges[name][0]), min(high, self.ranges[name][1]))
            for name, (low, high) in one.ranges.items()
            if name in self.ranges
        }
        species = {**self.species, **one.species}
        agree = all(species[element] == of for element, of in self.species.items())
        if (
            key != self.key
            or not agree
            or one.ranges.keys() != self.ranges.keys()
            or any(low >= high for low, high in ranges.values())
        ):
            return False
        self.ranges, self.species = ranges, species
        self.members.append(number)
        return True


def theories_of(stated: Sequence[Stated], known: Sequence[LevelOfTheory]) -> list[LevelOfTheory]:
    """The level of theory of each calculation: a known one, or one that the files state.

    Where several known ones fit, that of most of the calculations counts, of equals the first.
    """
    fitting = [[k for k, theory in enumerate(known) if one.fits(theory)] for one in stated]
    votes = Counter(k for choices in fitting for k in choices)
    found = {
        i: known[min(choices, key=lambda k: (-votes[k], k))]
        for i, choices in enumerate(fitting)
        if choices
    }
    groups: list[Group] = []
    for i, one in enumerate(stated):
        key = one.theory(dict.fromkeys(one.ranges, 0.0), {}).id
        if i not in found and not any(group.takes(key, one, i) for group in groups):
            groups.append(Group(key, dict(one.ranges), dict(one.species), [i]))
    for group in groups:
        rules = {name: _chosen(name, *values) for name, values in group.ranges.items()}
        for i in group.members:
            found[i] = stated[i].theory(rules, group.species)
    return [found[i] for i in range(len(stated))]


def _chosen(name: str, least: float, below: float) -> float:
    """A campaign's own default where it will do, else the roundest number."""
    default = DEFAULTS.get(name)
    return default if default and least <= default < below else roundest(least, below)
