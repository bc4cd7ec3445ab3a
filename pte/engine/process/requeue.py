"""SIGUSR1, SLURM's notice that a job will be taken away (`#SBATCH --signal=B:USR1@120`): the run stops as on an
interruption, in whatever stage, and the job is queued again; the same command then goes on where it was.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

_noticed = False


def on_notice() -> None:
    """From now on SIGUSR1 interrupts this process."""
    signal.signal(signal.SIGUSR1, _interrupt)


def _interrupt(signum: int, frame: Any) -> None:
    global _noticed
    _noticed = True
    raise KeyboardInterrupt


def noticed() -> bool:
    """Whether the interruption was such a notice."""
    return _noticed


def requeue() -> None:
    """Queue this SLURM job, or task of an array, again; outside SLURM nothing."""
    job = os.environ.get("SLURM_JOB_ID")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if job is None:
        return
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"job {job} could not be queued again ({error}): type scontrol requeue {job}", file=sys.stderr)
