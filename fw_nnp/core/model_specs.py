"""Architectures: each kind of model has its own keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from .registry import did_you_mean
from .spec import PositiveInt, Spec
from .units import Length

KINDS = ["moments", "ani"]


class BaselineSpec(Spec):
    """An EAM potential that is part of the model: the network learns what is missing from it."""

    style: Literal["eam/alloy", "eam/fs"]
    """LAMMPS' name for the format of the file."""
    file: str
    """A file beside the configuration, an absolute path, or a name in LAMMPS' own potentials
    folder. Its content is kept in the model file."""
    sha256: str = ""
    """Of the file; if given, no other content is taken. Filled in where training reads it."""


HeadName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class EveryModel(Spec):
    """What all kinds of models have."""

    kind: str
    """Name in MODELS, or ``package.module:attribute``."""
    cutoff: Length = 6.0
    repulsion: bool = True
    """Fixed ZBL repulsion well below bonding distances."""
    baseline: BaselineSpec | None = None
    """Empirical potential to which the network is a correction (delta learning)."""
    heads: list[HeadName] = []
    """Names of two output layers, for labels of low and of high fidelity in this order, each with
    reference energies of its own; the last one that is trained answers unless another is named."""

    @field_validator("heads")
    @classmethod
    def _two(cls, heads: list[str]) -> list[str]:
        if len(set(heads)) != len(heads) or len(heads) not in (0, 2):
            raise ValueError("heads are two different names: of the low and of the high labels")
        return heads


class ModelSpec(EveryModel):
    """The default architecture, moments of the neighbour density."""

    kind: str = "moments"
    """Name in MODELS, or ``package.module:attribute``."""
    n_basis: PositiveInt = 12
    """Radial basis functions (Chebyshev x cutoff) per element pair. More of them tell distances
    apart more finely, which pays where labels are many and not where they are few."""
    n_radial: PositiveInt = 16
    """Learned pairs of contractions of them; with `l_max` + 1 features each."""
    l_max: Annotated[int, Field(ge=0, le=6)] = 4
    """Largest angular degree."""
    n_cubic: Annotated[int, Field(ge=0)] = 16
    """Learned densities whose cube is a feature, in which an atom sees three neighbours at once."""
    n_embedded: Annotated[int, Field(ge=0)] = 24
    """Learned densities whose embedding energies, linear and as a root, are added to the
    network's: what pair potentials and Finnis and Sinclair's metals are made of."""
    hidden: list[PositiveInt] = [32, 32]
    """Units of the hidden layers, per element."""
    members: PositiveInt | None = None
    """Size of the committee: networks that are trained together, answer with their mean and tell by
    their spread how uncertain it is. Left out: 4 in a first stage on high labels of up to 40,000
    atoms, which makes up for few labels and takes 1.3 to 1.5 times as long to predict with, else
    1; a later stage has as many as the one that it starts from."""

    @property
    def n_members(self) -> int:
        """`members`, and 1 where that is left out."""
        return self.members or 1

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(
                f"unknown kind '{kind}'{did_you_mean(kind, KINDS)}; "
                f"known are {', '.join(KINDS)} and 'package.module:attribute'"
            )
        return kind


class AniSpec(EveryModel):
    """The architecture of the paper: ANI's 22 radial and 32 angular features, GELU networks."""

    kind: Literal["ani"]
    cutoff: Length = 6.9
    """Of the radial features."""
    repulsion: bool = False
    """Fixed ZBL repulsion well below bonding distances; the paper has none."""
    angular_cutoff: Length = 3.5
    """Of the angular features; at most `cutoff`."""
    hidden: list[PositiveInt] = [224, 192, 160]
    """Units of the hidden layers, per element."""

    @model_validator(mode="after")
    def _order(self) -> AniSpec:
        if self.angular_cutoff > self.cutoff:
            raise ValueError("angular_cutoff is above cutoff")
        return self


class PluginSpec(EveryModel):
    """A model of your own, a subclass of `fw_nnp.nnp.potential.Potential`."""

    kind: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
    """``package.module:attribute``, as the workers can import it."""
    settings: dict[str, Any] = {}
    """Keyword arguments of the class."""


def spec_of(kind: str) -> type[ModelSpec] | type[AniSpec] | type[PluginSpec]:
    """The spec that a kind of model is described by."""
    if ":" in kind:
        return PluginSpec
    return AniSpec if kind == "ani" else ModelSpec


def _tag(model: Any) -> str:
    kind = model.get("kind", "") if isinstance(model, dict) else getattr(model, "kind", "")
    return spec_of(kind).__name__


AnyModelSpec = Annotated[
    Annotated[ModelSpec, Tag("ModelSpec")]
    | Annotated[AniSpec, Tag("AniSpec")]
    | Annotated[PluginSpec, Tag("PluginSpec")],
    Discriminator(_tag),
]
