"""The contract of a causal sequence encoder, and packed rows laid out one history to a row."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pte.nn.sequence.attention import Mix


class SequenceEncoder(Protocol):
    """An nn.Module from item vectors to states; the state at a place depends on no later place and no other history."""

    def __call__(self, x: Tensor, position: Tensor, mask: Tensor | None = None, mix: Mix | None = None) -> Tensor:
        """(R, L, D) at positions (R, L), 0 where a history begins, -> (R, L, D); `mask` as block_causal."""
        ...

    def last(self, x: Tensor, length: Tensor, mix: Mix | None = None) -> Tensor:
        """State after the last item of right-padded histories: (B, L, D), (B,) -> (B, D)."""
        ...


def rows_of(position: Tensor) -> Tensor:
    """Which history, 0.., every place of packed rows belongs to: (R, L) positions -> (R, L) int64.

    A history begins where its position is 0, so each place of padding (position 0) counts as one of its own.
    """
    return (position.flatten() == 0).cumsum(0).view(position.shape) - 1


def unpacked(x: Tensor, position: Tensor) -> Tensor:
    """Packed (R, L, D) -> (S, longest, D), one history to a row, right-padded with zeros."""
    row = rows_of(position)
    grid = x.new_zeros(int(row.max()) + 1, int(position.max()) + 1, x.shape[-1])
    return torch.index_put(grid, (row, position), x)
