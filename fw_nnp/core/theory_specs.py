"""Levels of theory as the campaign file states them: pw.x and VASP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .registry import did_you_mean
from .spec import Spec
from .units import Energy, ReciprocalLength

#: Settings of a metal, in the manner of SSSP: coldest smearing and densest k-points last.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "metal_fast": {"k_spacing": 0.25, "degauss": "0.03 Ry", "bands": 1.5},
    "metal": {"k_spacing": 0.2, "degauss": "0.02 Ry", "bands": 1.4},
    "metal_precise": {"k_spacing": 0.15, "degauss": "0.01 Ry", "bands": 1.3, "conv_thr": 1e-10},
}

Hubbard = dict[
    Annotated[str, Field(pattern=r"^[A-Z][a-z]?-[1-7][spdf]$")], Annotated[Energy, Field(gt=0.0)]
]
"""Orbitals of an element -> U."""


class EspressoSpec(Spec):
    """Level of theory of Quantum ESPRESSO's pw.x for a metal."""

    code: Literal["espresso"]
    preset: Literal["", "metal_fast", "metal", "metal_precise"] = ""
    """Values for what is not stated: ``metal_fast``: k_spacing 0.25 1/Å, degauss 0.03 Ry, bands
    1.5; ``metal``: 0.2, 0.02 Ry, 1.4; ``metal_precise``: 0.15, 0.01 Ry, 1.3 and conv_thr 1e-10;
    all with cold smearing."""
    elements: list[str] = []
    """Elements whose files and cutoffs the table of a library names that lies in `pseudo_dir`
    (SSSP_*.json as SSSP ships it)."""
    pseudo_dir: str = ""
    """Folder of the pseudopotentials, relative to the campaign file; empty: the ones shipped
    with fw_nnp."""
    pseudopotentials: dict[str, str] = {}
    """Element -> UPF file in `pseudo_dir`; goes before the table."""
    ecutwfc: Annotated[Energy, Field(gt=0.0)] | None = None
    """Default: the highest that the table recommends for these elements."""
    ecutrho: Energy | None = None
    """Density cutoff; default: the table's, without it 4 x ecutwfc (norm-conserving)."""
    k_spacing: Annotated[ReciprocalLength, Field(gt=0.0)]
    """Largest distance between k-points, 2π included."""
    k_shift: bool = False
    """Move the grid by half a step: half as many points, for metals usually better ones."""
    smearing: Literal["mv", "mp", "fd", "gaussian"] = "mv"
    degauss: Annotated[Energy, Field(gt=0.0)]
    bands: Annotated[float, Field(ge=1.1, le=8.0)] = 1.4
    """Bands per pair of valence electrons; a wide smearing needs more (1.6 at 0.15 Ry)."""
    conv_thr: Annotated[float, Field(gt=0.0)] = 1e-9
    """SCF threshold in Ry per cell."""
    spin: bool = False
    starting_magnetization: dict[str, Annotated[float, Field(ge=-1.0, le=1.0)]] = {}
    """Element -> starting moment as a part of its valence electrons; needs ``spin: true``."""
    hubbard: Hubbard = {}
    """DFT+U: ``{Fe-3d: 4.6 eV}``, as the HUBBARD card of pw.x 7.1 and later has it."""
    hubbard_projectors: Literal["ortho-atomic", "atomic"] = "ortho-atomic"
    vdw_corr: Literal["", "grimme-d2", "grimme-d3", "ts-vdw", "mbd_vdw", "xdm"] = ""
    """Dispersion; its own keywords (dftd3_version ...) go under `extra`."""
    input_dft: str = ""
    """Functional; empty: that of the pseudopotentials."""
    extra: dict[Literal["control", "system", "electrons"], dict[str, Any]] = {}
    """Further pw.x keywords per namelist; they enter the fingerprint."""
    version: str = ""
    """Version of pw.x that must make the labels, for example ``7.2``; empty: the workers' own.
    Each label carries the version that made it."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any) -> Any:
        """Fill in what is not stated; an unknown preset is left to its field."""
        preset = PRESETS.get(str(data.get("preset", ""))) if isinstance(data, Mapping) else None
        return {**preset, **data} if preset else data

    @model_validator(mode="after")
    def _fits(self) -> EspressoSpec:
        if not (self.elements or self.pseudopotentials):
            raise ValueError("name the elements, or their pseudopotentials")
        if self.pseudopotentials and not self.elements and self.ecutwfc is None:
            raise ValueError("ecutwfc is missing: only a table of 'elements' could name it")
        known = [*self.elements, *self.pseudopotentials]
        for key, names in (
            ("starting_magnetization", [*self.starting_magnetization]),
            ("hubbard", [orbital.split("-")[0] for orbital in self.hubbard]),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(f"{key}: no element '{name}'{did_you_mean(name, known)}")
        if any(self.starting_magnetization.values()) and not self.spin:
            raise ValueError("starting_magnetization needs 'spin: true'")
        return self


class VaspSpec(Spec):
    """Level of theory of VASP: a preset of pymatgen as a single point, changed key by key."""

    code: Literal["vasp"]
    preset: Literal["mp", "mp_metal", "matpes", "matpes_r2scan"] = "mp_metal"
    """``mp``: MPRelaxSet, ``mp_metal``: MPMetalRelaxSet, ``matpes``: MatPESStaticSet with PBE or
    r2SCAN; all without relaxation, with a k-spacing and without DFT+U unless stated."""
    elements: list[str]
    """Elements of the configurations."""
    potcars: dict[str, str] = {}
    """Element -> POTCAR symbol, for example ``{Ni: Ni_pv}``; default: the preset's."""
    potcar_functional: str = ""
    """Set of POTCARs as pymatgen calls them, for example ``PBE_54``; default: the preset's."""
    potcar_dir: str = ""
    """Folder of the POTCARs, relative to the campaign file; default: PMG_VASP_PSP_DIR."""
    k_spacing: Annotated[ReciprocalLength, Field(gt=0.0)] = 0.22
    """Largest distance between k-points, 2π included; grids are centred at Γ."""
    incar: dict[str, Any] = {}
    """INCAR tags that differ from the preset; they enter the fingerprint."""
    magmom: dict[str, float] = {}
    """Element -> starting moment in μB; default: the preset's (with ISPIN = 2)."""
    hubbard: Hubbard = {}
    """DFT+U after Dudarev: ``{Fe-3d: 4.0 eV}``; LDAU, LDAUL, LDAUU and LMAXMIX are written from
    it. (Dispersion is ``incar: {IVDW: 12}``.)"""
    version: str = ""
    """Version of VASP that must make the labels, for example ``6.4.2``; empty: the workers'
    own. Each label carries the version that made it."""

    @model_validator(mode="after")
    def _fits(self) -> VaspSpec:
        for orbital in self.hubbard:
            element = orbital.split("-")[0]
            if element not in self.elements:
                nearest = did_you_mean(element, self.elements)
                raise ValueError(f"hubbard: no element '{element}'{nearest}")
        return self
