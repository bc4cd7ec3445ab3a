"""One stage on several devices: a torchrun process group of its own, started and ended by the run that wants it.

Every job of a sweep gets a fresh group from its saved, resolved config. (Letting Lightning re-run the command line for
the other ranks repeats the whole sweep in each of them: lightning#18175, hydra#2070.)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pte.schema import InputError
from pte.schema.context import Context

PER_RANK = re.compile(
    r"(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|NODE_RANK|GROUP_RANK|MASTER_\w+|PL_\w+|TORCHELASTIC_\w+)$"
)
GRACE_SECONDS = 15


def process_count(trainer: Mapping[str, Any]) -> int:
    """How many processes a trainer config asks for: `devices`, or all accelerators where it says auto or -1."""
    devices = trainer["devices"]
    if isinstance(devices, int) and devices > 0:
        return devices
    if devices in ("auto", -1):
        import torch

        return max(1, torch.cuda.device_count()) if trainer["accelerator"] in ("auto", "gpu", "cuda") else 1
    raise InputError(f"trainer.devices={devices}: give a positive number, or auto for all accelerators")


def launch(stage: str, context: Context, config: Mapping[str, Any], processes: int, log: Path) -> None:
    """Run `stage` in `processes` processes that fill `context.out`; ends them all when interrupted.

    Raises InputError when the group fails; the processes have then said why.
    """
    order = {
        "stage": stage,
        "config": dict(config),
        "parents": {name: str(path) for name, path in context.parents.items()},
        "out": str(context.out),
        "work": str(context.work),
        "log": str(log),
    }
    file = context.work / "order.json"
    file.write_text(json.dumps(order), encoding="utf-8")
    environ = {k: v for k, v in os.environ.items() if not PER_RANK.match(k)}
    environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["--max-restarts=0", "-m", "pte.engine.worker", str(file)]
    group = subprocess.Popen(command, env=environ, start_new_session=True)
    try:
        code = group.wait()
    except BaseException:
        _end(group)
        raise
    if code != 0:
        raise InputError(
            f"{stage} failed in its group of {processes} processes (exit status {code}): the reason is above"
        )


def _end(group: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole group, then SIGKILL for who is left."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            group.wait(GRACE_SECONDS)
            return
