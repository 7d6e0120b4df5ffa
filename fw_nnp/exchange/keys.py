"""Under which names public files keep their labels.

MACE writes ``REF_energy``, GAP's tools ``dft_energy`` and ``dft_force``, GPUMD ``Force`` and
``virial``, ASE ``free_energy`` and ``energy``, NequIP ``total_energy``: a quantity, perhaps behind
the name of its source. Names of predictions (``MACE_energy``) and of other energies
(``formation_energy``) are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fw_nnp.core.errors import SpecError

QUANTITIES = {
    "energy": r"(?:free|total)_?energy|energy",
    "forces": r"forces?",
    "stress": r"stress",
    "virial": r"virials?",
}
REFERENCE = ("ref", "reference")
SOURCES = (
    *REFERENCE, "dft", "qm", "target", "true", "label", "vasp", "castep", "cp2k", "aims", "fhiaims",
    "qe", "espresso", "pw", "gpaw", "abinit", "siesta", "pbe", "pbesol", "scan", "r2scan",
)  # fmt: skip


def value_of(quantity: str, found: Mapping[str, Any], names: Mapping[Any, str]) -> Any:
    """The value of `quantity` among everything that a frame has, or None.

    Parameters
    ----------
    found
        Name in the file -> value.
    names
        Quantity -> name in the file, of the description: it is not looked for elsewhere.

    A reference (``REF_``) stands above the plain name; of one source the free energy counts,
    because forces are its derivative, and ``total_energy`` only where there is no other: in files
    of dynamics it has the kinetic energy in it.

    Raises
    ------
    SpecError
        Two names could be meant and their values differ.
    """
    if quantity in names:
        return found.get(names[quantity])
    if quantity == "virial" and "stress" in names:
        return None
    pattern = re.compile(rf"(?:(.+?)_)?(?:{QUANTITIES[quantity]})", re.IGNORECASE)
    of_source: dict[str, str] = {}
    for name in sorted(found, key=lambda name: (not name.lower().endswith("free_energy"), name)):
        if match := pattern.fullmatch(name):
            source = re.sub("_?(free|total)$", "", (match[1] or "").lower())
            if source in ("", *SOURCES):
                of_source.setdefault(source, name)
    for source in REFERENCE:
        if source in of_source:
            return found[of_source[source]]
    chosen = list(of_source.values())
    for other in chosen[1:]:
        if not np.array_equal(np.asarray(found[chosen[0]]), np.asarray(found[other])):
            raise SpecError(
                f"'{chosen[0]}' and '{other}' could both be the {quantity}, and they differ",
                remedy=f"say which in a description: names: {{{quantity}: {other}}}",
            )
    return found[chosen[0]] if chosen else None


def refuse_unread_forces(columns: Iterable[str]) -> None:
    """Raise SpecError where a column looks like forces that nobody reads."""
    for name in columns:
        if re.search("forc", name, re.IGNORECASE) or name.lower() in ("f", "grad", "gradient"):
            raise SpecError(
                f"no forces, but a column '{name}' of three numbers per atom",
                remedy=f"say in a description that it has them, names: {{forces: {name}}}, "
                "or leave 'forces' out of the description if it does not",
            )
