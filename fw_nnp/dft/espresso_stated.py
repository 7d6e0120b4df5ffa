"""What the files of a pw.x run say of its level of theory, and whether a known one is meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fw_nnp.core.records import LevelOfTheory
from fw_nnp.core.units import RYDBERG

from .stated import Grid, Range, same

# Of &system: what a theory states itself, what the cell says, and what changes no answer.
NO_PHYSICS = {"nat", "ntyp", "ibrav", "a", "b", "c", "cosab", "cosac", "cosbc", "nbnd", "ecutwfc"}
NO_PHYSICS |= {"ecutrho", "occupations", "smearing", "degauss", "nspin", "input_dft", "nosym"}
NO_PHYSICS |= {"noinv", "nosym_evc", "use_all_frac", "nr1", "nr2", "nr3", "nr1s", "nr2s", "nr3s"}
BANDS = (1.1, 8.0)  # per pair of electrons, where nothing is said


@dataclass(frozen=True, kw_only=True)
class EspressoStated:
    """What the files of one run say; energies in Ry.

    Attributes
    ----------
    smearing
        Empty where occupations are fixed or by tetrahedra; `extra` says which.
    points
        The k-points in words where they are no regular mesh.
    n_bands, n_electrons
        0 where they are not said.
    species
        Element -> ``{"pseudo": sha256, or name and MD5 where the file is not at hand, "moment"}``.
    extra
        Further keywords of &system that change the answer.
    """

    version: str
    ecutwfc: float
    ecutrho: float
    smearing: str
    degauss: float
    conv_thr: float
    grid: Grid | None
    points: str
    n_bands: int
    n_electrons: float
    spin: bool
    input_dft: str
    species: Mapping[str, Mapping[str, Any]]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def ranges(self) -> dict[str, Range]:
        found = {"bands": self._bands()}
        if self.grid is not None:
            found["k_spacing"] = self.grid.spacings
        return found

    def _bands(self) -> Range:
        pairs = self.n_electrons / 2.0
        if not pairs or not self.n_bands:
            return BANDS
        most = self.n_bands / pairs * (1.0 + 1e-9)
        if self.n_bands <= math.ceil(pairs) + 4:
            return min(BANDS[0], most), max(most, BANDS[0] * 1.001)
        return (self.n_bands - 1) / pairs * (1.0 + 1e-9), most

    def fits(self, theory: LevelOfTheory) -> bool:
        """Whether the rules of `theory` give these numbers.

        How many bands there are, and a tighter convergence than asked for, change no answer.
        """
        if theory.code != "espresso" or "degauss" not in theory.settings:
            return False
        s: Mapping[str, Any] = theory.settings
        if "k_spacing" not in s:
            return self.theory({"bands": s["bands"]}, self.species).id == theory.id
        ecutrho = s["ecutrho"] or 4.0 * s["ecutwfc"]
        known, moments = s["pseudopotentials"], s["starting_magnetization"]
        return (
            self.grid is not None
            and self.grid.made_by(s["k_spacing"])
            and self.grid.shifted == s["k_shift"]
            and same(self.ecutwfc * RYDBERG, s["ecutwfc"])
            and same(self.ecutrho * RYDBERG, ecutrho)
            and self.smearing == s["smearing"]
            and same(self.degauss * RYDBERG, s["degauss"])
            and self.conv_thr <= 1.001 * s["conv_thr"]
            and self.spin == s["spin"]
            and self.input_dft.lower() == s["input_dft"].lower()
            and dict(self.extra) == physics_of(s["extra"].get("system", {}))
            and all(known.get(e) == of["pseudo"] for e, of in self.species.items())
            and all(same(moments.get(e, 0.0), of["moment"]) for e, of in self.species.items())
            and self.version.startswith(s.get("version", ""))
        )

    def theory(self, rules: Mapping[str, float], species: Mapping[str, Any]) -> LevelOfTheory:
        """In the form of a campaign's, so that the same settings have the same fingerprint."""
        ecutrho = None if same(self.ecutrho, 4.0 * self.ecutwfc) else _ev(self.ecutrho)
        shift = self.grid is not None and self.grid.shifted
        settings: dict[str, Any] = {
            "ecutwfc": _ev(self.ecutwfc),
            "ecutrho": ecutrho,
            "k_shift": shift,
            "smearing": self.smearing,
            "degauss": _ev(self.degauss),
            "conv_thr": float(f"{self.conv_thr:.6g}"),
            "spin": self.spin,
            "starting_magnetization": {
                e: of["moment"] for e, of in species.items() if of["moment"]
            },
            "input_dft": self.input_dft,
            "extra": {"system": dict(self.extra)} if self.extra else {},
            "pseudopotentials": {e: of["pseudo"] for e, of in sorted(species.items())},
            **rules,
        }
        if self.grid is None:
            settings["k_points"] = self.points
        return LevelOfTheory(code="espresso", settings=settings)


def _ev(rydberg: float) -> float:
    """eV, as a campaign would have it that says the rounder of Ry and eV."""
    texts = [f"{value:.9g}" for value in (rydberg, rydberg * RYDBERG)]
    in_ry, in_ev = (len(text.replace(".", "").strip("0")) for text in texts)
    return float(texts[0]) * RYDBERG if in_ry <= in_ev else float(texts[1])


def physics_of(system: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of &system that change the answer and that a theory has no key of its own for."""
    found = {key.lower(): value for key, value in system.items()}
    return {
        key: value
        for key, value in found.items()
        if key not in NO_PHYSICS and not key.startswith(("celldm", "starting_magnetization"))
    }
