"""Disjoint GPUs for the jobs of sweeps that run at once on one machine: a lock file for each GPU.

A job takes as many as it needs before anything initialises CUDA, which reads CUDA_VISIBLE_DEVICES once, and keeps them
until its process ends, however it ends: the kernel gives the locks back. Nothing here imports torch.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pte.artifact import acquire

VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 0.5
logger = logging.getLogger(__name__)
_locks: dict[str, int] = {}  # GPU -> descriptor of its lock
_all: list[str] = []  # those there were before any was taken


def folder() -> Path:
    """Where this user's locks are; the same for all sweeps on the machine."""
    return Path(tempfile.gettempdir()) / f"pte-gpu-{os.getuid()}"


def visible() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if VISIBLE in os.environ:
        names = [name.strip() for name in os.environ[VISIBLE].split(",")]
        end = next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))  # CUDA stops there
        return names[:end]
    files = [path for path in Path("/dev").iterdir() if re.fullmatch(r"nvidia\d+", path.name)]
    return [str(number) for number in range(len(files))]  # CUDA counts those there are, whatever their files are called


def reserve(trainer: Mapping[str, Any], place: Path | None = None) -> None:
    """GPUs for a job with this trainer config, set in CUDA_VISIBLE_DEVICES; nothing where there are none to give."""
    if not _all:
        _all.extend(visible())
    devices = trainer["devices"]
    count = devices if isinstance(devices, int) and devices > 0 else len(_all)
    if trainer["accelerator"] == "cpu" or not _all or count > len(_all):  # too many: refused where they are counted
        return
    take(count, _all, place or folder())
    os.environ[VISIBLE] = ",".join(sorted(_locks, key=_all.index))


def take(count: int, devices: Sequence[str], place: Path) -> None:
    """Hold `count` of `devices`, waiting while others hold them. All at once, so that no two wait for each other."""
    place.mkdir(parents=True, exist_ok=True)
    announced = False
    while len(_locks) < count:
        with (place / "pool").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # one process looks at a time
            while _locks:  # an earlier job's: kept while waiting for more, two jobs could wait for each other
                os.close(_locks.popitem()[1])
            free = {name: lock for name in devices if (lock := _try(place / name.replace("/", "_"))) is not None}
            for name in list(free)[count if len(free) >= count else 0 :]:
                os.close(free.pop(name))
            _locks.update(free)
        if len(_locks) < count:
            if not announced:
                logger.info(f"waiting for {count} of {len(devices)} GPUs: other jobs hold them")
            announced = True
            time.sleep(POLL_SECONDS)


def _try(file: Path) -> int | None:
    """A descriptor that holds the lock; None where another process does."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    if acquire(descriptor):
        return descriptor
    os.close(descriptor)
    return None
