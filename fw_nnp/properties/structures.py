"""Energies of the simple crystal structures of a metal, each at its own equilibrium volume."""

from __future__ import annotations

from typing import Literal

from ase import Atoms
from ase.build import bulk

from fw_nnp.core.atoms import from_atoms

from .elastic import Evaluate
from .relaxation import relaxed

Structure = Literal["fcc", "bcc", "hcp"]


def structure_energy(
    evaluate: Evaluate, element: str, structure: Structure, volume: float
) -> float:
    """eV/atom of `structure` at the volume, and for hcp the c/a, of lowest energy.

    The shape of the cubic ones is kept, for the wrong one of them is a saddle point under
    tetragonal strain.

    Parameters
    ----------
    volume
        First guess, Å³/atom.
    """
    crystal = _crystal(element, structure, volume)
    _, energy = relaxed(
        evaluate, from_atoms(crystal), cell="free" if structure == "hcp" else "volume"
    )
    return energy / len(crystal)


def _crystal(element: str, structure: Structure, volume: float) -> Atoms:
    """The primitive cell; hcp with ideal c/a."""
    if structure == "hcp":
        a = (2.0**0.5 * volume) ** (1 / 3)
        return bulk(element, "hcp", a=a, c=a * (8 / 3) ** 0.5)
    atoms_per_cube = {"fcc": 4, "bcc": 2}[structure]
    return bulk(element, structure, a=(atoms_per_cube * volume) ** (1 / 3))
