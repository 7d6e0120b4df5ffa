"""Who is timed at what; the first is the one that ratios refer to."""

from __future__ import annotations

from .worker import Contestant

OURS = "fw_nnp"
OURS_ASE = "fw_nnp, ASE"

TRAINING = (
    Contestant(OURS, "ours", "training", None),
    Contestant("fw_nnp, committee", "ours", "training_committee", None),
    Contestant("torchani", "torchani", "training", "torchani"),
    Contestant("torchnep", "torchnep", "training", "torchnep"),
    Contestant("deepmd-kit", "deepmd", "training", "deepmd"),
    Contestant("allegro", "allegro", "training", "allegro"),
    Contestant("apax", "apax", "training", "apax"),
    Contestant("mace", "mace", "training", "mace"),
)
INFERENCE = (
    Contestant(OURS, "ours", "inference", None),
    Contestant("fw_nnp, committee", "ours", "committee", None),
    Contestant("fw_nnp, double", "ours", "double", None),
    Contestant(OURS_ASE, "ours", "ase", None),
    Contestant("fw_nnp, ASE, double", "ours", "ase_double", None),
    Contestant("torchani", "torchani", "inference", "torchani"),
    Contestant("torchnep", "torchnep", "inference", "torchnep"),
    Contestant("calorine", "calorine", "inference", "calorine"),
    Contestant("deepmd-kit", "deepmd", "inference", "deepmd"),
    Contestant("allegro", "allegro", "inference", "allegro"),
    Contestant("apax", "apax", "inference", "apax"),
    Contestant("mace", "mace", "inference", "mace"),
    Contestant("LAMMPS EAM", "lammps", "inference", "lammps"),
)
