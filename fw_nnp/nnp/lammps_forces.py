"""The answers to LAMMPS' ``fix external``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from fw_nnp.core.errors import FwNnpError, SamplingError, SpecError
from fw_nnp.core.records import Configuration, FloatArray, IntArray

from .skin import SkinList
from .surface import Surface

FIX = "fw_nnp"
_VIRIAL = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # LAMMPS' order


class ExternalForces:
    """Forces, energies and virials of LAMMPS' atoms, whenever it asks.

    Parameters
    ----------
    lammps
        With a box and ``pair_style zero``.
    surface
        Of the model.
    elements
        Of the atom types, in order.
    place
        Of the ``pair_coeff`` in the input.

    Attributes
    ----------
    failure
        Why the run was ended: an exception cannot pass through LAMMPS.
    """

    def __init__(self, lammps: Any, surface: Surface, elements: Sequence[str], place: str) -> None:
        self._lammps = lammps
        self._surface = surface
        self._check(elements, place)
        self._numbers = np.array([0, *[atomic_numbers[element] for element in elements]])
        self._types: IntArray = np.empty(0, dtype=np.int64)
        self._pairs: SkinList | None = None
        self.failure: FwNnpError | None = None
        lammps.command(f"fix {FIX} all external pf/callback 1 1")
        lammps.command(f"fix_modify {FIX} energy yes virial yes")
        lammps.set_fix_external_callback(FIX, self._answer)

    def remove(self) -> None:
        """Take the forces away, for another potential."""
        if self._lammps.has_id("fix", FIX):
            self._lammps.command(f"unfix {FIX}")

    def _check(self, elements: Sequence[str], place: str) -> None:
        units = self._lammps.extract_global("units")
        n_types = self._lammps.extract_setting("ntypes")
        unknown = [e for e in elements if e not in self._surface.elements]
        if units != "metal":
            raise SpecError(f"the input is in units {units}", place=place, remedy="use units metal")
        if len(elements) != n_types:
            raise SpecError(
                f"{len(elements)} elements for {n_types} atom types",
                place=place,
                remedy="name an element for each type",
            )
        if unknown:
            raise SpecError(
                f"the model does not know {', '.join(unknown)}",
                place=place,
                remedy=f"it was trained on {', '.join(self._surface.elements)}",
            )

    def _answer(
        self, _: Any, step: int, n_atoms: int, tags: IntArray, x: FloatArray, f: FloatArray
    ) -> None:
        """Called by LAMMPS at every step."""
        f[:] = 0.0
        if self.failure is not None:
            return
        try:
            self._fill(tags.reshape(-1), x, f)
        except FwNnpError as error:
            self.failure = error
            error.place = f"step {step}"
            self._lammps.force_timeout()  # ends this run and skips all others

    def _fill(self, tags: IntArray, x: FloatArray, f: FloatArray) -> None:
        if not np.isfinite(x).all():
            raise SamplingError("positions are not finite", remedy="take a smaller time step")
        order = np.argsort(tags)  # LAMMPS sorts its atoms now and then; the list is better off so
        pairs = self._follow(x[order], order)
        found = self._surface.evaluate([pairs])
        energies, virials = np.empty(len(tags)), np.empty((len(tags), 6))
        f[order] = found.forces
        energies[order] = found.energies
        virials[order] = -np.stack([found.virials[:, a, b] for a, b in _VIRIAL], axis=1)
        self._lammps.fix_external_set_energy_global(FIX, float(energies.sum()))
        self._lammps.fix_external_set_virial_global(FIX, virials.sum(axis=0).tolist())
        self._lammps.numpy.fix_external_set_energy_peratom(FIX, energies)
        self._lammps.numpy.fix_external_set_virial_peratom(FIX, virials)

    def _follow(self, positions: FloatArray, order: IntArray) -> SkinList:
        """The pairs of the atoms, sorted by their tags, where they are now."""
        types = self._lammps.numpy.extract_atom("type").reshape(-1)[: len(order)][order]
        cell, pbc = self._box()
        pairs = self._pairs
        if pairs is None or pairs.pbc != pbc or not np.array_equal(types, self._types):
            numbers = self._numbers[types]
            atoms = Configuration(cell=cell, positions=positions, numbers=numbers, pbc=pbc)
            pairs = self._pairs = self._surface.pairs_of(atoms)
            self._types = np.array(types)
        pairs.update(positions, cell)
        return pairs

    def _box(self) -> tuple[FloatArray, tuple[bool, bool, bool]]:
        """Cell (3, 3) in rows, Å, and where it is periodic."""
        low, high, xy, yz, xz, periodic, _ = self._lammps.extract_box()
        cell = np.diag(np.subtract(high, low))
        cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
        return cell, (bool(periodic[0]), bool(periodic[1]), bool(periodic[2]))
