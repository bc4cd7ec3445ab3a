"""Collectives of a training step: what a loss reads of the other processes."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def summed(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes, each of which has to call it. No gradient passes."""
    value = value.detach().clone()
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
    return value


def others(value: Tensor) -> list[Tensor]:
    """The same tensor (n,) of every other process, in their order, n being each one's own; [] where there is no other.

    No gradient passes. All processes of the group have to call it, with an empty tensor too.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return []
    world, rank = distributed.get_world_size(), distributed.get_rank()
    count = [torch.zeros(1, dtype=torch.int64, device=value.device) for _ in range(world)]
    distributed.all_gather(count, torch.tensor([len(value)], device=value.device))
    counts = [int(n) for n in count]
    padded = value.new_zeros(max(counts))
    padded[: len(value)] = value
    gathered = [torch.empty_like(padded) for _ in range(world)]
    distributed.all_gather(gathered, padded)
    return [values[:n] for process, (values, n) in enumerate(zip(gathered, counts, strict=True)) if process != rank]
