"""Random numbers of a training step, each a function of step, history, place in the history and number of the draw.

Not of the process that holds the history, nor of the row it was packed into. So one step is the same on any number of
processes, dropout, diffusion noise, masks and negatives included. Each place is a SplitMix64 generator (Steele et al.,
OOPSLA 2014) with a state of its own. Widths are read from the front, so a wider draw begins as a narrower one.
Reference: SplitMix64 by hand (tests/nn/kernel/test_place_noise.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

GOLDEN, FIRST, SECOND = (n - 2**64 for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class PlaceNoise:
    """`seed`: of the step, alike on all processes. sequence, position: (R, L), as in PackedBatch; CPU draws."""

    def __init__(self, seed: int, sequence: Tensor, position: Tensor) -> None:
        self.seed, self.sequence, self.position = seed, sequence, position
        self.key = _mixed(_mixed(_mixed(torch.full_like(sequence, seed)) ^ sequence) ^ position)
        self.common = torch.Generator().manual_seed(seed)  # for what all processes hold, such as the item table
        self.whole = False  # True: what has no places has a row a history
        self.draws = 0

    def covers(self, shape: torch.Size) -> bool:
        """Whether (..., R, L, d) or (V R, L, d) are this step's places."""
        if self.key.ndim < 2:
            return False
        rows, length = self.key.shape
        return len(shape) >= 3 and shape[-2] == length and shape[:-2].numel() % rows == 0

    def of(self, sequence: Tensor, length: int) -> PlaceNoise:
        """The noise of whole histories (B,) beside these, right-padded to a length; the same at every request."""
        other = PlaceNoise(
            (self.seed * 6364136223846793005 + 1) % 2**63,
            sequence[:, None].expand(-1, length), torch.arange(length).expand(len(sequence), -1),
        )  # fmt: skip
        other.sequence, other.common, other.whole = sequence, self.common, True
        return other

    def padded(self, length: int) -> PlaceNoise:
        """Of whole histories: padded to another length."""
        return self.of(self.sequence, length) if self.whole else self

    def at(self, places: Tensor) -> PlaceNoise:
        """The noise of some places, (R, L) bool -> those of (T,); new with every call."""
        self.draws += 1
        part = PlaceNoise.__new__(PlaceNoise)
        part.seed, part.common, part.whole, part.draws = self.seed, self.common, self.whole, 0
        part.position, part.key = self.position[places], _mixed(self.key[places] ^ (self.draws << 40))
        return part

    def bytes(self, views: int, width: int, rows: bool = False) -> Tensor:
        """(views R, L, width) uint8, new ones with every call; rows: (views R, width), one draw for a row."""
        words = self._words(views, -(-width // 8), self.key[:, 0] if rows else self.key)
        return words.flatten(0, 1).view(torch.uint8)[..., :width]

    def words(self, width: int) -> Tensor:
        """(R, L, width) int64, all 64 bits random, new ones with every call; (T, width) of T places."""
        return self._words(1, width, self.key)[0]

    def uniform(self, shape: torch.Size | tuple[int, ...]) -> Tensor:
        """(R, L, width) from [0, 1), in steps of 2^-24."""
        return self._drawn(shape).bitwise_and_(2**24 - 1).float() * 2.0**-24

    def normal(self, shape: torch.Size | tuple[int, ...]) -> Tensor:
        """(R, L, width) from N(0, 1): Box and Muller, two of each word's 32-bit halves."""
        half = -(-shape[-1] // 2)
        word = self._drawn((*shape[:-1], half))
        radius = ((word & (2**32 - 1)).double().add_(0.5) * 2.0**-32).log_().mul_(-2).sqrt_()
        angle = ((word >> 32) & (2**32 - 1)).double().mul_(2 * math.pi * 2.0**-32)
        pair = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
        return pair.flatten(-2)[..., : shape[-1]].float()

    def _drawn(self, shape: torch.Size | tuple[int, ...]) -> Tensor:
        if tuple(shape[:-1]) != tuple(self.key.shape):
            raise ValueError(f"noise for places {tuple(self.key.shape)} was asked for {tuple(shape)}")
        return self.words(shape[-1])

    def _words(self, views: int, width: int, key: Tensor) -> Tensor:
        self.draws += 1
        view = torch.arange(views).view(-1, *[1] * key.ndim) + (self.draws << 20)
        return _mixed(_mixed(key ^ view)[..., None] + GOLDEN * torch.arange(1, width + 1))


def _mixed(z: Tensor) -> Tensor:
    """SplitMix64's output function on int64, whose products wrap and whose shifts are made unsigned."""
    z = (z ^ ((z >> 30) & (2**34 - 1))).mul_(FIRST)
    z.bitwise_xor_((z >> 27).bitwise_and_(2**37 - 1)).mul_(SECOND)
    return z.bitwise_xor_((z >> 31).bitwise_and_(2**33 - 1))


_current: ContextVar[PlaceNoise | None] = ContextVar("place_noise", default=None)


@contextmanager
def place_noise(noise: PlaceNoise | None) -> Iterator[None]:
    """Meanwhile what a step draws comes from `noise`; None: from the global generator."""
    token = _current.set(noise)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> PlaceNoise | None:
    return _current.get()


def current_at(places: Tensor) -> PlaceNoise | None:
    """The noise of some places of the current step, in their order."""
    return None if (noise := current()) is None else noise.at(places)


def common() -> torch.Generator | None:
    """The generator of what all processes hold, alike on all of them; None outside `place_noise`."""
    return None if (noise := current()) is None else noise.common
