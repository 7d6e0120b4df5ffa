"""apax: GM-NN (Gaussian moments and a network) in JAX, its default model, jitted.

The batches are made beforehand, by apax's own pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import jax
from apax.config import parse_config
from apax.optimizer import get_opt
from apax.train.checkpoints import create_params, create_train_state
from apax.train.metrics import initialize_metrics
from apax.train.run import initialize_datasets, initialize_loss_fn
from apax.train.trainer import make_step_fns

from .work import Cells, Work, in_turn, write_extxyz


class Run:
    """What apax's own `run` sets up before it starts to train."""

    def __init__(self, cells: Cells, batch_size: int) -> None:
        write_extxyz(cells, Path("cells.xyz"))
        config = parse_config(settings(cells, batch_size))
        config.data.model_version_path.mkdir(parents=True)
        dataset, _, statistics = initialize_datasets(config)
        sample, box = dataset.init_input()
        builder = config.model.get_builder()(config.model.model_dump())
        model = builder.build_energy_derivative_model(
            scale=statistics.elemental_scale,
            shift=statistics.elemental_shift,
            apply_mask=True,
            init_box=box,
        )
        self.batched = jax.vmap(model.apply, in_axes=(None, 0, 0, 0, 0, 0))
        parameters, _ = create_params(model, jax.random.PRNGKey(1), sample, 1)
        optimizer = get_opt(parameters, config.n_epochs, 1, **config.optimizer.model_dump())
        self.state = create_train_state(self.batched, parameters, optimizer)
        self.metrics = initialize_metrics(config.metrics)
        self.loss = initialize_loss_fn(config.loss)
        source = dataset.shuffle_and_batch(None)
        self.batches = [next(source) for _ in range(len(cells) // batch_size)]


def training(cells: Cells) -> Work:
    run = Run(cells, cells.batch_size)
    train_step, _ = make_step_fns(run.loss, run.metrics, run.batched, is_ensemble=False)
    batches = in_turn(run.batches)
    carry = (run.state, run.metrics.empty())

    def step() -> None:
        nonlocal carry
        carry, loss = train_step(carry, next(batches))
        loss.block_until_ready()

    return describe(run, step, cells.batch_size * cells.n_atoms, "E, F, S")


def inference(cells: Cells) -> Work:
    run = Run(cells, len(cells))
    inputs, _ = run.batches[0]
    model = jax.jit(run.batched)
    names = ("positions", "numbers", "idx", "box", "offsets")

    def step() -> None:
        jax.block_until_ready(model(run.state.params, *(inputs[name] for name in names)))

    return describe(run, step, len(cells) * cells.n_atoms, "E, F, S; no neighbour list")


def settings(cells: Cells, batch_size: int) -> dict:
    return {
        "n_epochs": 100_000,
        "data": {
            "directory": "models",
            "experiment": "speed",
            "train_data_path": "cells.xyz",
            "val_data_path": "cells.xyz",
            "batch_size": batch_size,
            "valid_batch_size": batch_size,
        },
        "model": {
            "name": "gmnn",
            "basis": {"name": "bessel", "r_max": cells.cutoff},
            "calc_stress": True,
        },
        "metrics": [{"name": "energy", "reductions": ["mae"]}],
        "loss": [{"name": "energy"}, {"name": "forces"}, {"name": "stress"}],
    }


def describe(run: Run, step: Callable, atoms_per_step: int, computes: str) -> Work:
    return Work(
        step=step,
        atoms_per_step=atoms_per_step,
        version=version("apax"),
        computes=computes,
        settings="GM-NN, defaults, jitted",
        parameters=sum(leaf.size for leaf in jax.tree.leaves(run.state.params)),
    )
