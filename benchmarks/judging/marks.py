"""Pass marks: a number that a potential reached, what it was to reach, and whether it did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One line of the table, for one trained potential.

    Attributes
    ----------
    name, unit
        What was measured.
    value
        The number.
    error
        What is judged: the error of `value`, or `value` itself.
    limit
        Largest passing `error`; None: shown for information.
    truth, published
        The value to reach, and that of a published potential.
    strict
        The error must stay below the limit, not just reach it.
    """

    name: str
    unit: str
    value: float
    error: float | None = None
    limit: float | None = None
    truth: float | None = None
    published: float | None = None
    strict: bool = False

    @property
    def judged(self) -> float:
        return self.value if self.error is None else self.error

    @property
    def passed(self) -> bool | None:
        """None without a limit; what is not finite has not passed."""
        if self.limit is None:
            return None
        if not math.isfinite(self.judged):
            return False
        return self.judged < self.limit if self.strict else self.judged <= self.limit


def against(
    name: str,
    unit: str,
    value: float,
    truth: float,
    *,
    limit: float | None = None,
    published: float | None = None,
    percent: bool = False,
) -> Mark:
    """A value that is to be within `limit` (or `limit` per cent) of the truth."""
    error = abs(value - truth) * (100.0 / abs(truth) if percent else 1.0)
    return Mark(
        name=name,
        unit=unit,
        value=value,
        error=error,
        limit=limit,
        truth=truth,
        published=published,
    )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The same mark over several potentials: it is passed if each of them passes."""

    marks: tuple[Mark, ...]

    @property
    def passed(self) -> bool | None:
        results = [mark.passed for mark in self.marks]
        return None if None in results else all(results)

    def document(self) -> dict[str, Any]:
        """Plain JSON."""
        first = self.marks[0]
        values = [mark.value for mark in self.marks]
        return {
            "name": first.name,
            "unit": first.unit,
            "values": values,
            "mean": sum(values) / len(values),
            "spread": max(values) - min(values),
            "judged": [mark.judged for mark in self.marks],
            "limit": first.limit,
            "truth": first.truth,
            "published": first.published,
            "passed": self.passed,
        }


def verdicts(potentials: Sequence[Sequence[Mark]]) -> list[Verdict]:
    """One verdict per mark, from the marks of each potential."""
    return [Verdict(marks=marks) for marks in zip(*potentials, strict=True)]
