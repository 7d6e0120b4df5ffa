"""The campaign file as typed, frozen specs: unknown keys and wrong units are errors.

Numbers are in eV, Å, fs, K; a text with a unit (``"20 ps"``, ``"25 Ry"``) is converted.
The resolved spec is plain JSON (`spec.model_dump(mode="json")`), is stored and hashed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from .model_specs import AniSpec as AniSpec
from .model_specs import AnyModelSpec as AnyModelSpec
from .model_specs import BaselineSpec as BaselineSpec
from .model_specs import ModelSpec as ModelSpec
from .model_specs import PluginSpec as PluginSpec
from .registry import did_you_mean
from .spec import Fraction, Name
from .spec import PositiveInt as PositiveInt
from .spec import Spec as Spec
from .stage_specs import LossWeights as LossWeights
from .stage_specs import ReplaySpec as ReplaySpec
from .stage_specs import StageSpec as StageSpec
from .theory_specs import EspressoSpec as EspressoSpec
from .theory_specs import VaspSpec as VaspSpec
from .units import Duration, Length, Pressure, Temperature, Time

# ---------------------------------------------------------------- sampling


class PotentialSpec(Spec):
    """An empirical potential."""

    engine: str = "lammps"
    """Name in POTENTIALS (``lammps``, ``emt``), or ``package.module:attribute``."""
    style: str = ""
    """LAMMPS pair_style, for example ``eam/fs``."""
    file: str = ""
    """A file beside the campaign, an absolute path, or a name in LAMMPS' own potentials folder."""
    elements: list[str]
    """Elements that it describes, as ``pair_coeff`` maps them."""


class CrystalSpec(Spec):
    """The crystal that a protocol starts from."""

    crystal: Literal["fcc", "bcc", "hcp"] = "fcc"
    lattice_constant: Length
    """a; hcp is ideal, c/a = 1.633."""
    cell: Literal["conventional", "orthorhombic", "primitive"] = "conventional"
    """``orthorhombic`` fcc is a/√2 x a/√2 x a with 2 atoms (conventional: 4): repeated 2 2 2 or
    3 2 2 it gives compact cells of 16 or 24 atoms."""
    repeat: Annotated[list[PositiveInt], Field(min_length=3, max_length=3)] = [1, 1, 1]
    """Number of such cells along the three axes."""


class MeltQuenchSpec(CrystalSpec):
    """Heat a crystal through melting, hold across the transition, quench (NPT)."""

    kind: Literal["melt_quench"]
    trajectories: PositiveInt = 1
    """Independent runs, each with its own seed."""
    t_start: Temperature = 300.0
    t_melt: Temperature
    """Highest temperature; small perfect crystals need well above the melting point."""
    t_hold: Temperature
    """Temperature near the transition at which solid, interface and liquid alternate; it rises
    as cells get smaller (Al, 926 K in bulk: 1,150 K with 24 atoms, 1,300 K with 16)."""
    heat: Time
    hold: Time
    quench: Time
    timestep: Annotated[Time, Field(gt=0.0)] = 2.0
    pressure: Pressure = 0.0
    every: Annotated[Time, Field(gt=0.0)] = 50.0
    """A frame is kept every so often."""


class StrainSpec(CrystalSpec):
    """Homogeneously strained crystals: random symmetric strains and a volume scan."""

    kind: Literal["strain"]
    count: PositiveInt
    strain: Annotated[float, Field(gt=0.0, le=0.3)] = 0.05
    """Largest strain component."""
    rattle: Length = 0.0
    """Standard deviation of the displacements added on top."""


class RattleSpec(CrystalSpec):
    """Crystals with random displacements, at several volumes."""

    kind: Literal["rattle"]
    count: PositiveInt
    rattle: Length = 0.1
    """Standard deviation of each component of the displacements."""
    strain: Annotated[float, Field(ge=0.0, le=0.3)] = 0.02
    """Largest volumetric strain / 3."""


class ImportSpec(Spec):
    """Configurations from a file (extxyz or anything ase reads), one trajectory per file.

    Frames that are none, with NaN in them for example, are left out.
    """

    kind: Literal["import"]
    file: str
    always: bool = False
    """Relabel every one of them, past the selector and its limits; frames that are none are
    quarantined."""


ProtocolSpec = Annotated[
    MeltQuenchSpec | StrainSpec | RattleSpec | ImportSpec, Field(discriminator="kind")
]


class TranslationSpec(Spec):
    """To another metal: scale by the ratio of nearest-neighbour distances, rename elements."""

    elements: dict[str, str]
    """Sampled element -> target element, for example ``{Ni: Al}``."""
    potential: PotentialSpec
    """Empirical potential of the target, for pre-training and as the yardstick."""
    lattice_constants: dict[str, Length]
    """fcc lattice constant of the sampled and of the target element; their ratio scales cells."""

    @model_validator(mode="after")
    def _complete(self) -> TranslationSpec:
        needed = {*self.elements, *self.elements.values()}
        missing = sorted(needed - set(self.lattice_constants))
        if missing:
            raise ValueError(f"no lattice constant of {', '.join(missing)}")
        return self


class SampleSpec(Spec):
    """Where configurations come from."""

    potential: PotentialSpec
    protocols: list[ProtocolSpec]
    translate: TranslationSpec | None = None


class SelectSpec(Spec):
    """Which frames of the pool are relabelled."""

    method: str = "farthest_point"
    """Name in SELECTORS, or ``package.module:attribute``."""
    phases: dict[Literal["solid", "interface", "liquid"], Annotated[int, Field(ge=0)]]
    """Number of frames per phase."""
    max_force: Annotated[float, Field(gt=0.0)] = 30.0
    """Frames with a larger force (eV/Å, empirical) are left out."""
    max_atoms: PositiveInt | None = None
    """Frames with more atoms are left out: they train the first stage, but cost too much DFT."""


# ---------------------------------------------------------------- labels


class EmpiricalSpec(Spec):
    """An empirical potential as the level of theory (stand-in for DFT in tests)."""

    code: Literal["empirical"]
    potential: PotentialSpec


TheorySpec = Annotated[EspressoSpec | VaspSpec | EmpiricalSpec, Field(discriminator="code")]


class RelabelSpec(Spec):
    """How the selected frames get their labels."""

    theory: TheorySpec
    chunk_size: PositiveInt = 20
    """Structures per Firework."""
    min_yield: Fraction = 0.95
    """Training starts when this fraction of the selection is labelled and the rest has failed
    or is under way; labels that come later are kept for a next dataset version."""
    min_distance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.6
    """Reject before DFT: distances below this fraction of the sum of covalent radii."""
    max_attempts: PositiveInt = 3
    """Runs of one structure under custodian before quarantine."""
    allow_physics_changes: Literal["never", "relabel_as_new_theory"] = "never"
    """What becomes of a repair that would change the physics: ``never``: the structure goes to
    quarantine with the change; ``relabel_as_new_theory``: the changed run is filed under a level
    of theory of its own, beside the quarantine."""
    walltime: Duration | None = None
    """Time of one Firework; it stops before and a continuation goes on."""


# ---------------------------------------------------------------- datasets, training


class DatasetSpec(Spec):
    """The frozen dataset version."""

    split_by: Literal["trajectory", "near_duplicates", "random"] = "trajectory"
    """What stays in one part: frames of one trajectory, or configurations whose neighbour
    distances agree to 0.01 Å (for foreign data without trajectories)."""
    fractions: list[Fraction] = [0.8, 0.1, 0.1]
    """Train, validation, test."""
    seed: int = 1

    @model_validator(mode="after")
    def _sum(self) -> DatasetSpec:
        if len(self.fractions) != 3 or abs(sum(self.fractions) - 1.0) > 1e-6:
            raise ValueError("fractions are three numbers that add up to 1")
        return self


class TrainSpec(Spec):
    """Model, stages and seed."""

    model: AnyModelSpec = ModelSpec()
    stages: list[StageSpec]
    seed: int = 1

    @field_validator("stages")
    @classmethod
    def _plain(cls, stages: list[StageSpec], info: ValidationInfo) -> list[StageSpec]:
        return [stage.plain(info.data.get("model", ModelSpec())) for stage in stages]

    @model_validator(mode="after")
    def _order(self) -> TrainSpec:
        seen: list[str] = []
        for stage in self.stages:
            if stage.name in seen:
                raise ValueError(f"two stages are called '{stage.name}'")
            if stage.start_from is not None and stage.start_from not in seen:
                raise ValueError(
                    f"stage '{stage.name}' starts from '{stage.start_from}', "
                    f"which is no earlier stage{did_you_mean(stage.start_from, seen)}"
                )
            seen.append(stage.name)
        return self


class FileTrainSpec(TrainSpec):
    """Training on files (``fw-nnp train``): a `TrainSpec` and how to split the data."""

    stages: list[StageSpec] = [StageSpec(name="train")]
    dataset: DatasetSpec = DatasetSpec(fractions=[0.9, 0.1, 0.0])


class EvaluateSpec(Spec):
    """Properties computed with the potential, the level of theory and the sampler's potential."""

    crystal: Literal["fcc", "bcc"] = "fcc"
    element: str
    lattice_constant: Length
    """First guess of the lattice constant at the level of theory."""
    strain: Annotated[float, Field(gt=0.0, le=0.05)] = 0.005
    """Strain amplitude of the elastic constants."""


class CampaignSpec(Spec):
    """A whole campaign: sample, select, relabel, collect, train, evaluate, report."""

    name: Name
    description: str = ""
    seed: int = 1
    sample: SampleSpec
    select: SelectSpec
    relabel: RelabelSpec
    dataset: DatasetSpec = DatasetSpec()
    train: TrainSpec
    evaluate: EvaluateSpec
    quick: dict[str, Any] = {}
    """Overrides that make a small campaign for tests (``fw-nnp submit --quick``)."""
