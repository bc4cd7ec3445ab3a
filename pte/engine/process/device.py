"""How many processes a run requests, and whether the machine has a place for each."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from pte.engine.process import join
from pte.schema import InputError


def process_count(trainer: Mapping[str, Any]) -> int:
    """How many processes a trainer config requests: `devices`, or all accelerators where it says auto or -1.

    More than there are places for is refused, since each would wait for the others all the time and their memory adds
    up; `trainer.oversubscribe=true` starts them all the same.
    """
    if (together := join.joined()) is not None:
        return together.world
    if (others := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        raise InputError(
            f"this is one of {others} processes of a group (WORLD_SIZE={others}), as torchrun starts them: start one,"
            f" python -m pte.run trainer.devices={others}, which starts its own"
        )
    devices = trainer["devices"]
    every = devices == "auto" or devices == -1
    if isinstance(devices, bool) or not (every or (isinstance(devices, int) and devices >= 1)):
        raise InputError(f"trainer.devices={devices}: give a positive number, or auto for all accelerators")
    if devices == 1:
        return 1
    where, places = _places(trainer["accelerator"])
    if every:
        return 1 if where == "cores" else places
    if devices > places and (where == "accelerators" or not trainer["oversubscribe"]):
        more = "" if where == "accelerators" else ", or trainer.oversubscribe=true to share the cores among them"
        raise InputError(f"trainer.devices={devices}: this machine has {places} {where}. Give {places} or less{more}")
    return int(devices)


def _places(accelerator: str) -> tuple[str, int]:
    """("accelerators", GPUs) or ("cores", cores this process may use)."""
    if accelerator != "cpu":
        import torch

        if torch.cuda.is_available():
            return "accelerators", torch.cuda.device_count()
        if torch.backends.mps.is_available():
            return "accelerators", 1
    return "cores", len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
