"""Formation energy of a vacancy: E(N - 1) - (N - 1)/N E(N) at the volume of the crystal."""

from __future__ import annotations

from ase import Atoms

from fw_nnp.core.atoms import from_atoms

from .elastic import Evaluate
from .relaxation import relaxed


def vacancy_energy(evaluate: Evaluate, crystal: Atoms) -> float:
    """eV to take the first atom out of `crystal`; its neighbours relax, the cell does not.

    Parameters
    ----------
    crystal
        A supercell of the perfect crystal in equilibrium; 108 atoms of fcc are within 0.01 eV
        of an endless one.
    """
    (perfect,) = evaluate([from_atoms(crystal)])
    rest = crystal.copy()
    del rest[0]
    _, energy = relaxed(evaluate, from_atoms(rest))
    return energy - len(rest) / len(crystal) * perfect.energy
