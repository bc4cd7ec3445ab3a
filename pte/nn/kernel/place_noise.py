"""Random bytes of a training step's places: a function of the step, the history, the place in it and which draw it is.

Not of the process that holds the history, nor of the row it was packed into. So one step is the same on any number of
processes, dropout included. Each place is a SplitMix64 generator (Steele et al., OOPSLA 2014) with a state of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

GOLDEN, FIRST, SECOND = (n - 2**64 for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class PlaceNoise:
    """`seed`: of the step, alike on all processes. sequence, position: (R, L), as in PackedBatch; CPU draws."""

    def __init__(self, seed: int, sequence: Tensor, position: Tensor) -> None:
        self.position = position
        self.key = _mixed(_mixed(_mixed(torch.full_like(sequence, seed)) ^ sequence) ^ position)
        self.common = torch.Generator().manual_seed(seed)  # for what all processes hold, such as the item table
        self.draws = 0

    def covers(self, shape: torch.Size) -> bool:
        """Whether (..., R, L, d) or (V R, L, d) are this step's places."""
        rows, length = self.key.shape
        return len(shape) >= 3 and shape[-2] == length and shape[:-2].numel() % rows == 0

    def bytes(self, views: int, width: int) -> Tensor:
        """(views R, L, width) uint8, new ones with every call."""
        self.draws += 1
        words = -(-width // 8)
        view = torch.arange(views).view(-1, 1, 1) + (self.draws << 20)
        key = _mixed(self.key ^ view).flatten(0, 1)  # (V R, L)
        state = key[..., None] + GOLDEN * torch.arange(1, words + 1)
        return _mixed(state).view(torch.uint8)[..., :width]


def _mixed(z: Tensor) -> Tensor:
    """SplitMix64's output function on int64, whose products wrap and whose shifts are made unsigned."""
    z = (z ^ ((z >> 30) & (2**34 - 1))).mul_(FIRST)
    z.bitwise_xor_((z >> 27).bitwise_and_(2**37 - 1)).mul_(SECOND)
    return z.bitwise_xor_((z >> 31).bitwise_and_(2**33 - 1))


_current: ContextVar[PlaceNoise | None] = ContextVar("place_noise", default=None)


@contextmanager
def place_noise(noise: PlaceNoise | None) -> Iterator[None]:
    """Meanwhile dropout is drawn from `noise`; None: from the global generator."""
    token = _current.set(noise)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> PlaceNoise | None:
    return _current.get()
