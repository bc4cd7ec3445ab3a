"""Attention of one sequence of vectors over another of the same places: softmax(Q K^T / sqrt(D/H)) V, Q from the one,
K and V from the other. No residual, and no bias but the output's: LLM-ESR's (NeurIPS 2024) fusion of two views."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from pte.nn.sequence.attention import attend


class CrossAttention(nn.Module):
    """query (R, L, D), memory (R, L, D) -> (R, L, D)."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} cannot be split among {heads} heads")
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """`mask` (R, 1, L, L) bool, which place may look at which; None = causal."""
        q = rearrange(self.query(query), "r l (h d) -> r h l d", h=self.heads)
        k, v = rearrange(self.key_value(memory), "r l (two h d) -> two r h l d", two=2, h=self.heads)
        joined: Tensor = self.out(rearrange(attend(q, k, v, mask, drop=0.0), "r h l d -> r l (h d)"))
        return joined
