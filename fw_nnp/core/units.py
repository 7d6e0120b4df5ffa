"""Units: eV, Å, fs, K everywhere; stress in eV/Å³, positive in tension.

Files and prints use GPa, meV or Ry where the field does; the factors are here and
nowhere else. Values are CODATA 2014 as ASE uses them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from ase import units as _ase
from pydantic import BeforeValidator, WithJsonSchema

GPA: float = _ase.GPa  # eV/Å³ per GPa
RYDBERG: float = _ase.Rydberg  # eV
HARTREE: float = _ase.Hartree  # eV
BOHR: float = _ase.Bohr  # Å
BAR: float = _ase.bar  # eV/Å³ per bar
KB: float = _ase.kB  # eV/K
AMU: float = _ase.fs**-2  # eV fs²/Å² per atomic mass unit
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # xx yy zz yz xz xy, as ASE

_PER_MOLE = {"kcal/mol": _ase.kcal / _ase.mol, "kJ/mol": _ase.kJ / _ase.mol}
# Unit symbols per dimension, as factors to the base unit of that dimension.
_DIMENSIONS: Mapping[str, Mapping[str, float]] = {
    "length": {"Å": 1.0, "A": 1.0, "angstrom": 1.0, "nm": 10.0, "bohr": BOHR},
    "time": {"fs": 1.0, "ps": 1e3, "ns": 1e6},
    "duration": {"s": 1.0, "min": 60.0, "h": 3600.0},
    "temperature": {"K": 1.0},
    "energy": {"eV": 1.0, "meV": 1e-3, "Ry": RYDBERG, "Ha": HARTREE, **_PER_MOLE},
    "pressure": {"eV/Å³": 1.0, "eV/A^3": 1.0, "GPa": GPA, "kbar": 0.1 * GPA, "bar": BAR},
    "reciprocal length": {"1/Å": 1.0, "1/A": 1.0, "1/bohr": 1.0 / BOHR},
}
_NUMBER = re.compile(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(\S+)?\s*")


def parse_quantity(value: Any, dimension: str) -> float:
    """Return `value` in the base unit of `dimension`.

    Parameters
    ----------
    value
        A number (taken in the base unit) or a text such as ``"20 ps"``.
    dimension
        One of ``length``, ``time``, ``duration``, ``temperature``, ``energy``,
        ``pressure``, ``reciprocal length``.

    Raises
    ------
    ValueError
        The text is no number with a unit of that dimension.
    """
    units = _DIMENSIONS[dimension]
    base = next(iter(units))
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"expected a {dimension}, a number in {base} or a text like '1 {base}'")
    if isinstance(value, (int, float)):
        return float(value)
    match = _NUMBER.fullmatch(value)
    if match is None:
        raise ValueError(f"'{value}' is not a {dimension}; write it like '1 {base}'")
    symbol = match[2] or base
    if symbol not in units:
        raise ValueError(f"'{symbol}' is no unit of {dimension}; use one of {', '.join(units)}")
    return float(match[1]) * units[symbol]


def _quantity(dimension: str) -> Any:
    base = next(iter(_DIMENSIONS[dimension]))
    return (
        BeforeValidator(lambda value: parse_quantity(value, dimension)),
        WithJsonSchema(
            {"type": ["number", "string"], "format": f"{dimension} in {base}, or with a unit"}
        ),
    )


Length = Annotated[float, *_quantity("length")]
Time = Annotated[float, *_quantity("time")]
Duration = Annotated[float, *_quantity("duration")]
Temperature = Annotated[float, *_quantity("temperature")]
Energy = Annotated[float, *_quantity("energy")]
Pressure = Annotated[float, *_quantity("pressure")]
ReciprocalLength = Annotated[float, *_quantity("reciprocal length")]
