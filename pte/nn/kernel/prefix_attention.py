"""Attention of rows that continue shared prefixes: a prefix's keys and values are read once for all its rows.

Row r attends to the S tokens of its prefix and to the m tokens of its own behind them:

    softmax(q [K_prefix, K_own]^T scale) [V_prefix, V_own]

equals `F.scaled_dot_product_attention` over both in one piece (tests/nn/kernel/test_prefix_attention.py). Decoding
reads the whole cache for every new token; of K candidates with one prompt this reads the prompt's part once, not
K times (Hydragen, Juravsky et al. 2024; with one softmax in place of their two, for the scores are few).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor


@dataclass(frozen=True)
class Seats:
    """Where the R rows sit: P prefixes with G seats each. prefix: (R,) int64, rows in any order; mask: (P, S) bool."""

    prefix: Tensor
    place: Tensor  # (R,) int64: prefix * G + seat
    seats: int  # G
    mask: Tensor

    @classmethod
    def of(cls, prefix: Tensor, mask: Tensor) -> Seats:
        """Rows of one prefix take its seats in their order."""
        same = prefix[:, None] == prefix
        seat = (same & torch.ones_like(same).tril(-1)).sum(1)
        count = int(seat.max()) + 1
        return cls(prefix, prefix * count + seat, count, mask)

    def by_prefix(self, x: Tensor) -> Tensor:
        """(R, H, n, D) -> (P, H, G n, D), zeros on empty seats."""
        table = x.new_zeros(len(self.mask) * self.seats, *x.shape[1:])
        table[self.place] = x
        return rearrange(table, "(P G) H n D -> P H (G n) D", G=self.seats)

    def by_row(self, x: Tensor) -> Tensor:
        """(P, H, G n, D) -> (R, H, n, D)."""
        return rearrange(x, "P H (G n) D -> (P G) H n D", G=self.seats)[self.place]


def prefix_attention(
    query: Tensor,
    prefix: tuple[Tensor, Tensor],
    own: tuple[Tensor, Tensor],
    seats: Seats,
    own_mask: Tensor | None,
    scale: float,
) -> Tensor:
    """query (R, N, n, D), keys and values of prefixes (P, H, S, D) and of rows (R, H, m, D) -> (R, N, n, D).

    N is a multiple of H: query heads in a row share one of keys. own_mask: (R or 1, 1, n, m) bool, None: all of it.
    """
    heads, length, prefix_length = own[0].shape[1], query.shape[2], prefix[0].shape[2]
    q = rearrange(query * scale, "R (H g) n D -> R H (g n) D", H=heads)
    of_prefix = seats.by_row(seats.by_prefix(q) @ prefix[0].transpose(-1, -2))
    of_prefix = of_prefix.masked_fill(~seats.mask[seats.prefix][:, None, None], float("-inf"))
    of_own = rearrange(q @ own[0].transpose(-1, -2), "R H (g n) m -> R H g n m", n=length)
    if own_mask is not None:
        of_own = of_own.masked_fill(~own_mask[:, :, None], float("-inf"))
    scores = torch.cat([of_prefix, of_own.flatten(2, 3)], -1)
    p = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    own_part = p[..., prefix_length:] @ own[1]
    prefix_part = seats.by_row(seats.by_prefix(p[..., :prefix_length]) @ prefix[1])
    return rearrange(prefix_part + own_part, "R H (g n) D -> R (H g) n D", n=length)
