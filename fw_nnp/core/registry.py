"""Plug-in points: a name, or ``package.module:attribute``, to an object."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from importlib import import_module
from typing import Generic, TypeVar

from .errors import SpecError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to import paths; an entry is imported when it is first asked for.

    Parameters
    ----------
    kind
        What is registered, for messages: ``model``, ``selector`` ...
    entries
        Short name -> ``package.module:attribute``.
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def get(self, name: str) -> T:
        """Return the object called `name`, or at the import path `name`.

        Raises
        ------
        SpecError
            Unknown name, or the import failed.
        """
        target = self._entries.get(name, name)
        module, _, attribute = target.partition(":")
        if not attribute:
            raise SpecError(
                f"no {self.kind} is called '{name}'{did_you_mean(name, self._entries)}",
                remedy=f"known: {', '.join(self._entries)}; or 'package.module:attribute'",
            )
        try:
            found: T = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise SpecError(f"cannot import the {self.kind} '{target}': {error}") from error
        return found


def did_you_mean(word: str, known: dict[str, str] | list[str]) -> str:
    """`` (did you mean 'x'?)`` for the nearest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
