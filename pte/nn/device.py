"""Where tensors go."""

from __future__ import annotations

import os

import torch


def device_of(accelerator: str) -> torch.device:
    """auto: a GPU where there is one."""
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")
