"""Where configurations come from: protocols, phase tags, translation, selection."""

from .phases import PhaseTag, tag, tagged
from .protocols import SamplingRun, run_sampling, sampling_runs
from .select import SELECTORS, select_frames
from .translate import translate

__all__ = [
    "SELECTORS",
    "PhaseTag",
    "SamplingRun",
    "run_sampling",
    "sampling_runs",
    "select_frames",
    "tag",
    "tagged",
    "translate",
]
