"""One stage of training: what it starts from, how long it takes, on what loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .model_specs import AnyModelSpec
from .presets import Preset, preset_keys
from .spec import Name, PositiveInt, Spec
from .units import Duration


class LossWeights(Spec):
    """Weights of the mean squared errors in eV/atom, eV/Å and GPa."""

    energy: Annotated[float, Field(ge=0.0)] = 50.0
    """per (eV/atom)²"""
    forces: Annotated[float, Field(ge=0.0)] = 1.0
    """per (eV/Å)²"""
    stress: Annotated[float, Field(ge=0.0)] = 0.02
    """per GPa²"""
    phases: dict[Literal["solid", "interface", "liquid"], Annotated[float, Field(ge=0.0)]] = {}
    """Factors on all labels of a phase; 1 where none is given."""
    force_scale: Annotated[float, Field(gt=0.0)] | None = None
    """eV/Å: the force on an atom counts 1 / (1 + |F| / force_scale)."""
    robust: Annotated[float, Field(gt=0.0)] | None = None
    """eV/Å: errors of force components count linearly, not squared, well beyond it
    (pseudo-Huber); for labels with outliers."""


class ReplaySpec(Spec):
    """Low-fidelity labels that a stage on high-fidelity ones keeps looking at."""

    fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.25
    """Share of the cells of every step, at least one; an epoch is once through the others."""
    weight: Annotated[float, Field(gt=0.0)] = 0.3
    """Of their loss, beside 1 of the others'."""


class StageSpec(Spec):
    """One stage of training: a name, what it starts from, how long and on what loss."""

    name: Name
    labels: Literal["low", "high"] = "high"
    """``low``: the empirical labels of the pool; ``high``: the dataset of DFT labels."""
    start_from: Name | None = None
    """Name of an earlier stage."""
    preset: Preset | None = None
    """A recipe of transfer, written out as the keys that it stands for, except those that the
    stage has itself. ``paper``: first and last layer frozen, as in the paper; ``gentle``: all
    layers move, the descriptor and the first layer more slowly."""
    freeze: list[str] = []
    """Patterns (fnmatch) of parameter names that stay as they are."""
    learning_rates: dict[str, Annotated[float, Field(gt=0.0)]] = {}
    """Pattern (fnmatch) of parameter names -> factor on the learning rate; the first that
    matches counts."""
    replay: ReplaySpec | None = None
    """Low-fidelity labels among those of this stage."""
    stress_offset: float | None = None
    """GPa: constant in the normal stresses of the labels that is taken off them. Left out: it is
    found where the energies contradict the stresses by more than 1 GPa, as a Pulay stress or an
    ideal-gas part makes them; 0 takes all stresses at their word."""
    refit_energies: bool = True
    """Re-fit the reference energies to the new labels before the stage."""
    epochs: PositiveInt = 150
    time_limit: Duration | None = None
    """Stop cleanly after so long, with the learning rate decayed to its end over this time."""
    optimizer: Literal["soap", "adamw"] = "soap"
    """``soap``: Adam in the eigenbasis of the gradients' covariance; ``adamw``: for comparison."""
    learning_rate: Annotated[float, Field(gt=0.0)] = 3e-3
    """Largest rate, after the warm-up; about 1e-3 for transfer to few labels."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.05
    """Pull, per step and unit of learning rate, towards zero in a first stage and towards the
    model that it started from in a later one; above 20,000 labelled atoms it falls as 1/atoms.
    Where labels are few the k-th radial function is pulled up to k times as strongly, so that the
    surface is smooth unless they ask for more; from 40,000 atoms on all are pulled alike."""
    batch_size: PositiveInt = 4
    """Cells per step."""
    weights: LossWeights = LossWeights()
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    """Memory of the average of the parameters, per step; the average is what is saved."""
    clip: Annotated[float, Field(gt=0.0)] = 10.0
    """Largest norm of the gradient."""
    patience: PositiveInt | None = None
    """Stop after so many epochs without a better validation score."""

    @model_validator(mode="after")
    def _agrees(self) -> StageSpec:
        if self.replay and (
            self.start_from is None or self.labels == "low" or self.batch_size == 1
        ):
            raise ValueError(
                "replay is of low labels in a stage on high ones: it needs start_from, "
                "labels: high and a batch_size above 1"
            )
        return self

    def plain(self, model: AnyModelSpec) -> StageSpec:
        """The same stage with its preset written out.

        Raises
        ------
        SpecError
            The preset does not go with the model.
        """
        if self.preset is None:
            return self
        own = self.model_dump(include=self.model_fields_set - {"preset"})
        return StageSpec.model_validate(preset_keys(self.preset, model) | own)
