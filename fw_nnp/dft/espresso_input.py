"""The input of pw.x: namelists and cards from a configuration and a level of theory."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, FloatArray
from fw_nnp.core.specs import EspressoSpec
from fw_nnp.core.units import RYDBERG

from .theory import Pseudopotential

PREFIX = "fw"
OUTDIR = "out"
SMEARING = {"mv": "marzari-vanderbilt", "mp": "methfessel-paxton", "fd": "fermi-dirac"}
# Numerical keywords that we set and a spec may set otherwise.
FREE = {"disk_io", "mixing_mode"}

Namelists = dict[str, dict[str, Any]]


def k_grid(cell: FloatArray, spacing: float) -> tuple[int, int, int]:
    """Smallest grid in which neighbouring k-points are at most `spacing` apart.

    Parameters
    ----------
    cell
        (3, 3) Å.
    spacing
        1/Å, with 2π.
    """
    lengths = 2.0 * np.pi * np.linalg.norm(np.linalg.inv(cell).T, axis=1)
    a, b, c = (max(1, math.ceil(length / spacing - 1e-9)) for length in lengths)
    return a, b, c


def namelists(
    configuration: Configuration, spec: EspressoSpec, pseudos: Mapping[str, Pseudopotential]
) -> Namelists:
    """All keywords of a single point.

    Parameters
    ----------
    spec
        Resolved, see `fw_nnp.dft.theory.resolved`.
    pseudos
        Element -> pseudopotential; all in one folder.
    """
    elements = configuration.elements
    assert spec.ecutwfc is not None  # resolved
    pairs = sum(pseudos[symbol].valence for symbol in configuration.symbols) / 2.0
    system: dict[str, Any] = {
        "ibrav": 0,
        "nat": configuration.n_atoms,
        "ntyp": len(elements),
        "ecutwfc": spec.ecutwfc / RYDBERG,
        "ecutrho": (spec.ecutrho or 4.0 * spec.ecutwfc) / RYDBERG,
        "occupations": "smearing",
        "smearing": SMEARING.get(spec.smearing, spec.smearing),
        "degauss": spec.degauss / RYDBERG,
        # As pw.x does for metals: never fewer than four empty ones.
        "nbnd": max(math.ceil(spec.bands * pairs), math.ceil(pairs) + 4),
    }
    if spec.spin:
        system["nspin"] = 2
        for i, element in enumerate(elements, start=1):
            moment = spec.starting_magnetization.get(element, 0.0)
            system[f"starting_magnetization({i})"] = moment
    if spec.input_dft:
        system["input_dft"] = spec.input_dft
    if spec.vdw_corr:
        system["vdw_corr"] = spec.vdw_corr
    lists: Namelists = {
        "control": {
            "calculation": "scf",
            "prefix": PREFIX,
            "outdir": f"./{OUTDIR}",
            "pseudo_dir": str(next(iter(pseudos.values())).path.parent),
            "tprnfor": True,
            "tstress": True,
            "disk_io": "low",
        },
        "system": system,
        # Thomas-Fermi screening suits bulk metals: half the steps of plain mixing.
        "electrons": {"conv_thr": spec.conv_thr, "mixing_mode": "TF"},
    }
    return _with_extra(lists, spec.extra)


def _with_extra(lists: Namelists, extra: Mapping[Any, Mapping[str, Any]]) -> Namelists:
    for name, keywords in extra.items():
        for key, value in keywords.items():
            if key in lists[name] and key not in FREE:
                raise SpecError(
                    f"'{key}' is set by fw_nnp",
                    place=f"relabel.theory.extra.{name}",
                    remedy="use the key of the theory itself (ecutwfc, degauss, bands ...)",
                )
            lists[name][key] = value
    return lists


def pw_input(
    configuration: Configuration, spec: EspressoSpec, pseudos: Mapping[str, Pseudopotential]
) -> str:
    """Text of the input file; see `namelists`."""
    lists = namelists(configuration, spec, pseudos)
    lines = []
    for name, keywords in lists.items():
        lines += [f"&{name}", *(f"  {k} = {_fortran(v)}" for k, v in keywords.items()), "/"]
    lines.append("ATOMIC_SPECIES")
    for element in configuration.elements:
        mass = atomic_masses[atomic_numbers[element]]
        lines.append(f"{element} {mass:.4f} {pseudos[element].path.name}")
    grid = k_grid(configuration.cell, spec.k_spacing)
    shift = int(spec.k_shift)
    lines += ["K_POINTS automatic", "{} {} {} {s} {s} {s}".format(*grid, s=shift)]
    lines += ["CELL_PARAMETERS angstrom", *map(_row, configuration.cell)]
    lines.append("ATOMIC_POSITIONS angstrom")
    for symbol, position in zip(configuration.symbols, configuration.positions, strict=True):
        lines.append(f"{symbol} {_row(position)}")
    orbitals = [o for o in spec.hubbard if o.split("-")[0] in configuration.elements]
    if orbitals:
        lines.append(f"HUBBARD {{{spec.hubbard_projectors}}}")
        lines += [f"U {orbital} {spec.hubbard[orbital]:.6f}" for orbital in orbitals]
    return "\n".join(lines) + "\n"


def keyword(text: str, key: str) -> str | None:
    """Value of a keyword in an input as text, or None."""
    found = re.search(rf"^\s*{re.escape(key)}\s*=\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else None


def with_keyword(text: str, namelist: str, key: str, value: Any) -> str:
    """The input with one keyword set anew."""
    line = f"  {key} = {_fortran(value)}"
    pattern = rf"^\s*{re.escape(key)}\s*=.*$"
    if re.search(pattern, text, re.MULTILINE):
        return re.sub(pattern, line, text, flags=re.MULTILINE)
    return text.replace(f"&{namelist}\n", f"&{namelist}\n{line}\n", 1)


def _fortran(value: Any) -> str:
    if isinstance(value, bool):
        return ".true." if value else ".false."
    return f"'{value}'" if isinstance(value, str) else repr(value)


def _row(values: FloatArray) -> str:
    return " ".join(f"{value:.12f}" for value in values)
