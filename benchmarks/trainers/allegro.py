"""Allegro by nequip's own trainer, a model small enough for a processor, exponential decay."""

from __future__ import annotations

import json
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from .work import CUTOFF, TRAINING, command, element

EPOCHS: int | None = None
LAYERS, SCALARS, TENSORS = 2, 32, 16
SETTINGS = f"l 1, {LAYERS} layers, {SCALARS} scalar and {TENSORS} tensor channels, {CUTOFF:g} Å"


def train(folder: Path, epochs: int, seed: int) -> None:
    # JSON is YAML, which the trainer reads
    (folder / "config.yaml").write_text(json.dumps(settings(folder, epochs, seed)))
    where = [f"--config-dir={folder.resolve()}", "--config-name=config"]
    command("nequip-train", *where, f"hydra.run.dir={folder.resolve()}")


def settings(folder: Path, epochs: int, seed: int) -> dict[str, Any]:
    loader = {"_target_": "torch.utils.data.DataLoader", "batch_size": 4, "num_workers": 0}
    cells = {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": seed,
        "split_dataset": {"file_path": str(TRAINING), "train": 0.9, "val": 0.1},
        "transforms": [
            {
                "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                "model_type_names": [element()],
            },
            {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": CUTOFF},
        ],
        "train_dataloader": loader | {"shuffle": True},
        "val_dataloader": loader,
        "stats_manager": {
            "_target_": "nequip.data.CommonDataStatisticsManager",
            "type_names": [element()],
        },
    }
    model = {
        "_target_": "allegro.model.AllegroModel",
        "seed": seed,
        "model_dtype": "float32",
        "type_names": [element()],
        "r_max": CUTOFF,
        "l_max": 1,
        "num_layers": LAYERS,
        "num_scalar_features": SCALARS,
        "num_tensor_features": TENSORS,
        "radial_chemical_embed": {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed"},
        "avg_num_neighbors": "${training_data_stats:num_neighbors_mean}",
        "per_type_energy_shifts": "${training_data_stats:per_atom_energy_mean}",
        "per_type_energy_scales": "${training_data_stats:forces_rms}",
    }
    checkpoint = {
        "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
        "monitor": "val0_epoch/weighted_sum",
        "dirpath": str(folder.resolve()),
        "filename": "best",
    }
    training = {
        "_target_": "nequip.train.EMALightningModule",
        "loss": {
            "_target_": "nequip.train.EnergyForceLoss",
            "per_atom_energy": True,
            "coeffs": {"total_energy": 1.0, "forces": 1.0},
        },
        "val_metrics": {
            "_target_": "nequip.train.EnergyForceMetrics",
            "coeffs": {"total_energy_mae": 1.0, "forces_mae": 1.0},
        },
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
        "lr_scheduler": {
            "scheduler": {
                "_target_": "torch.optim.lr_scheduler.ExponentialLR",
                "gamma": 0.01 ** (1.0 / epochs),
            },
            "interval": "epoch",
            "frequency": 1,
        },
        "model": model,
    }
    return {
        "run": ["train"],
        "data": cells,
        "trainer": {
            "_target_": "lightning.Trainer",
            "accelerator": "cpu",
            "max_epochs": epochs,
            "callbacks": [checkpoint],
            "enable_progress_bar": False,
        },
        "training_module": training,
    }


def calculator(folder: Path) -> Any:
    from nequip.integrations.ase import NequIPCalculator

    # not compiled: nequip-compile needs a C++ compiler
    return NequIPCalculator._from_saved_model(folder / "best.ckpt", device="cpu")


def version() -> str:
    return version_of("nequip-allegro")
