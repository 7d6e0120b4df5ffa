"""What a foreign file of labels means: its units, its stress, its species.

A file of numbers proves none of this, so the user states it in a small YAML file, and it
becomes part of the level of theory of the labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from ase.data import atomic_numbers
from pydantic import AfterValidator, Field, model_validator

from fw_nnp.core.parsing import load_yaml, parse
from fw_nnp.core.specs import Spec
from fw_nnp.core.units import parse_quantity

VOIGT_NAMES = ("xx", "yy", "zz", "yz", "xz", "xy")


def unit(symbol: str, dimension: str) -> float:
    """Factor from the unit `symbol` to the base unit of `dimension`."""
    return parse_quantity(f"1 {symbol}", dimension)


def force_unit(symbol: str) -> float:
    """Factor from a force unit such as ``Ha/bohr`` to eV/Å."""
    energy, slash, length = symbol.rpartition("/")  # kcal/mol/Å
    if not slash:
        raise ValueError(f"'{symbol}' is no unit of force; write it like 'eV/Å'")
    return unit(energy, "energy") / unit(length, "length")


def _energy_unit(symbol: str) -> str:
    unit(symbol, "energy")
    return symbol


def _length_unit(symbol: str) -> str:
    unit(symbol, "length")
    return symbol


def _force_unit(symbol: str) -> str:
    force_unit(symbol)
    return symbol


def _order(text: str) -> str:
    if sorted(text.split()) != sorted(VOIGT_NAMES):
        raise ValueError(f"'{text}' does not name {' '.join(VOIGT_NAMES)} once each")
    return text


def _elements(species: dict[str, str]) -> dict[str, str]:
    for symbol in species.values():
        if symbol not in atomic_numbers:
            raise ValueError(f"'{symbol}' is no chemical element")
    return species


class StressDescription(Spec):
    """What the stress-like numbers of a file are."""

    quantity: Literal["stress", "virial"]
    """``stress``: per volume; ``virial``: stress times the volume of the cell."""
    positive_in: Literal["tension", "compression"]
    """Sign: ``compression`` where a squeezed crystal has positive numbers, as in VASP's output."""
    unit: str
    """A unit of pressure for a stress, a unit of energy for a virial."""
    order: Annotated[str, AfterValidator(_order)] = " ".join(VOIGT_NAMES)
    """Order of the six components; of no effect where the file gives the full matrix."""

    @model_validator(mode="after")
    def _unit_fits(self) -> StressDescription:
        unit(self.unit, "pressure" if self.quantity == "stress" else "energy")
        return self


class FileDescription(Spec):
    """Meaning of the numbers in a file of labelled configurations."""

    theory: str = ""
    """Level of theory in words. Files described alike share one level of theory; without these
    words each file is a level of theory of its own, known by its sha256."""
    energy: Annotated[str, AfterValidator(_energy_unit)]
    """Unit of the energy of the cell."""
    length: Annotated[str, AfterValidator(_length_unit)]
    """Unit of positions and cell."""
    forces: Annotated[str, AfterValidator(_force_unit)] | None = None
    """Unit of the forces, for example ``Ha/Å``; left out: the file has none."""
    stress: StressDescription | None = None
    """Meaning of stress or virial; left out: the file has none, or it is not to be trusted."""
    species: Annotated[dict[str, str], AfterValidator(_elements)] = Field(default_factory=dict)
    """Species in the file -> element, where the file's own name is not to be believed."""
    names: dict[Literal["energy", "forces", "stress"], str] = Field(default_factory=dict)
    """Names in the file, where they are not the format's own."""


ASE_UNITS = FileDescription(
    energy="eV",
    length="Å",
    forces="eV/Å",
    stress=StressDescription(quantity="stress", positive_in="tension", unit="eV/Å³"),
)
"""The conventions of ASE and of fw_nnp."""


def load_description(path: Path) -> FileDescription:
    """The description in a YAML file.

    Raises
    ------
    SpecError
        Unreadable file, unknown key, unknown unit.
    """
    return parse(FileDescription, load_yaml(path), place=str(path))
