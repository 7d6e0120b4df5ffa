"""When this worker's time is over: the end of its Slurm job, or the limit in the campaign."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from datetime import datetime

MARGIN = 30.0  # s before the end in which programs save their state and answers are filed
PART = 0.1  # of a short limit, as its margin


def time_is_up(limit: float | None, *, started: float | None = None) -> Callable[[], bool]:
    """A question that answers yes shortly before the time of this Firework is over.

    Parameters
    ----------
    limit
        Seconds that it may take; None: only the end of the Slurm job counts.
    started
        When it began, as `time.time()`; default: now.
    """
    begin = time.time() if started is None else started
    ends = [] if limit is None else [begin + limit - min(MARGIN, PART * limit)]
    if (job_end := slurm_job_end()) is not None:
        ends.append(job_end - MARGIN)
    end = min(ends, default=None)
    return lambda: end is not None and time.time() >= end


def slurm_job_end() -> float | None:
    """End of the Slurm job that this process runs in, in seconds since the epoch; None outside."""
    if stated := os.environ.get("SLURM_JOB_END_TIME"):
        return float(stated)
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return None
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", "--jobs", job, "--format", "%e"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return datetime.fromisoformat(asked.stdout.strip()).timestamp()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # no answer: the signal that Slurm sends is what is left
