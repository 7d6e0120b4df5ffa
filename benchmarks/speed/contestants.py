"""Who is timed at what; the first is the one that ratios refer to."""

from __future__ import annotations

from .worker import Contestant

OURS = "fw_nnp"
OURS_ASE = "fw_nnp, ASE"

TRAINING = (
    Contestant(OURS, "ours", "training", None),
    Contestant("torchani", "torchani", "training", "torchani"),
    Contestant("torchnep", "torchnep", "training", "torchnep"),
)
INFERENCE = (
    Contestant(OURS, "ours", "inference", None),
    Contestant(OURS_ASE, "ours", "ase", None),
    Contestant("torchani", "torchani", "inference", "torchani"),
    Contestant("torchnep", "torchnep", "inference", "torchnep"),
)
