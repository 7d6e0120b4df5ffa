"""Architectures: each kind of model has its own keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from .registry import did_you_mean
from .spec import PositiveInt, Spec
from .units import Length

KINDS = ["moments", "ani"]


class ModelSpec(Spec):
    """The default architecture, moments of the neighbour density; also the keys of plug-ins."""

    kind: str = "moments"
    """Name in MODELS, or ``package.module:attribute``."""
    cutoff: Length = 6.0
    n_basis: PositiveInt = 12
    """Radial basis functions (Chebyshev x cutoff) per element pair."""
    n_radial: PositiveInt = 16
    """Learned pairs of contractions of them; with `l_max` + 1 features each."""
    l_max: Annotated[int, Field(ge=0, le=6)] = 4
    """Largest angular degree."""
    n_cubic: Annotated[int, Field(ge=0)] = 16
    """Learned densities whose cube is a feature, in which an atom sees three neighbours at once."""
    hidden: list[PositiveInt] = [32, 32]
    """Units of the hidden layers, per element."""
    members: PositiveInt = 1
    """Size of the committee: networks that are trained together and tell how uncertain they are."""
    repulsion: bool = True
    """Fixed ZBL repulsion well below bonding distances."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS and ":" not in kind:
            raise ValueError(
                f"unknown kind '{kind}'{did_you_mean(kind, KINDS)}; "
                f"known are {', '.join(KINDS)} and 'package.module:attribute'"
            )
        return kind


class AniSpec(Spec):
    """The architecture of the paper: ANI's 22 radial and 32 angular features, GELU networks."""

    kind: Literal["ani"]
    cutoff: Length = 6.9
    """Of the radial features."""
    angular_cutoff: Length = 3.5
    """Of the angular features; at most `cutoff`."""
    hidden: list[PositiveInt] = [224, 192, 160]
    """Units of the hidden layers, per element."""
    repulsion: bool = False
    """Fixed ZBL repulsion well below bonding distances; the paper has none."""

    @model_validator(mode="after")
    def _order(self) -> AniSpec:
        if self.angular_cutoff > self.cutoff:
            raise ValueError("angular_cutoff is above cutoff")
        return self


def spec_of(kind: str) -> type[ModelSpec] | type[AniSpec]:
    """The spec that a kind of model is described by."""
    return AniSpec if kind == "ani" else ModelSpec


def _tag(model: Any) -> str:
    kind = model.get("kind", "") if isinstance(model, dict) else getattr(model, "kind", "")
    return spec_of(kind).__name__


AnyModelSpec = Annotated[
    Annotated[ModelSpec, Tag("ModelSpec")] | Annotated[AniSpec, Tag("AniSpec")],
    Discriminator(_tag),
]
