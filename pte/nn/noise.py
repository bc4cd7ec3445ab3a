"""Normal noise of many rows at once: from one generator, or each row's a function of its own case alone.

A score that takes noise must not depend on which other cases share its batch: else the size of a batch,
the number of processes or a restart would change ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pte.nn.kernel.place_noise import PlaceNoise


class CaseNoise:
    """Noise for B rows, row b's a function of (seed, case[b]) and of what was drawn for it before. CPU draws."""

    def __init__(self, seed: int, case: Sequence[int] | np.ndarray) -> None:
        self.seeds = _mixed(seed, np.asarray(case, np.int64))
        self._generators: list[torch.Generator] | None = None  # most scores take no noise

    def rows(self, rows: slice) -> CaseNoise:
        """The source of some of the rows, which has drawn nothing yet."""
        part = CaseNoise(0, ())
        part.seeds = self.seeds[rows]
        return part

    def normal(self, shape: torch.Size | tuple[int, ...]) -> Tensor:
        """(B, ...) from N(0, 1)."""
        if shape[0] != len(self.seeds):
            raise ValueError(f"noise for {len(self.seeds)} cases was asked for {shape[0]} rows")
        if self._generators is None:
            self._generators = [torch.Generator().manual_seed(seed) for seed in self.seeds.tolist()]
        out = torch.empty(shape)
        for row, generator in zip(out, self._generators, strict=True):
            torch.randn(shape[1:], generator=generator, out=row)
        return out


Generator = torch.Generator | PlaceNoise | None  # None: the global generator of the device
Noise = Generator | CaseNoise


def standard_normal(shape: torch.Size | tuple[int, ...], source: Noise, device: torch.device) -> Tensor:
    """N(0, 1) on a device, drawn where the source lives: the same numbers on every device from one on the CPU."""
    if isinstance(source, CaseNoise | PlaceNoise):
        return source.normal(shape).to(device)
    return torch.randn(shape, generator=source, device=device if source is None else source.device).to(device)


def uniform(shape: torch.Size | tuple[int, ...], source: PlaceNoise | None, device: torch.device) -> Tensor:
    """[0, 1) on a device."""
    return torch.rand(shape, device=device) if source is None else source.uniform(shape).to(device)


def _mixed(seed: int, case: np.ndarray) -> np.ndarray:
    """Well-mixed 63-bit seeds of the pairs (seed, case): SplitMix64 (Steele et al., OOPSLA 2014), twice."""
    state = np.uint64(seed % 2**64) + np.zeros(len(case), np.uint64)
    for number in (np.zeros(len(case), np.uint64), case.astype(np.uint64)):
        state = state ^ number
        state = state + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(1)).astype(np.int64)
