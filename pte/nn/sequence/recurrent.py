"""A GRU over packed or right-padded histories: GRU4Rec's encoder (Hidasi et al., ICLR 2016, arXiv 1511.06939)."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from pte.nn.kernel.dropout import Dropout
from pte.nn.sequence.attention import MOST_LAYERS, Mix
from pte.nn.sequence.encoder import rows_of, unpacked
from pte.schema import InputError, require


class GRUEncoder(nn.Module):
    """Item vectors, dropped out, through `layers` GRUs of `hidden` units and a linear map back to the width.

    views: as nn.attention.Encoder. Packed histories are laid out one to a row, since a state must start anew with each.
    """

    def __init__(self, *, width: int, hidden: int, layers: int, dropout: float, views: int = 1) -> None:
        super().__init__()
        require(1 <= layers <= MOST_LAYERS, "backbone.layers", layers, f"give a whole number, 1 to {MOST_LAYERS}")
        require(hidden >= 1, "backbone.hidden", hidden, "give a whole number, 1 or more")
        if width % views:
            raise InputError(f"representation.width={width} cannot be split into {views} views")
        self.views, self.drop = views, Dropout(dropout)
        self.gru = nn.GRU(width // views, hidden, layers, batch_first=True)
        self.out = nn.Linear(hidden, width // views)

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None = None, mix: Mix | None = None) -> Tensor:
        """(R, L, D) item vectors at positions (R, L) or (L,) -> (R, L, D); no item reads a later one."""
        position = position.expand(x.shape[:2]).repeat(self.views, 1)
        state, _ = self.gru(unpacked(self._start(x, mask, mix), position))
        out: Tensor = self.out(state)[rows_of(position), position]
        return rearrange(out, "(v r) l d -> r l (v d)", v=self.views)

    def last(self, x: Tensor, length: Tensor, mix: Mix | None = None) -> Tensor:
        """State after the last item of right-padded histories: (B, L, D), (B,) -> (B, D)."""
        state, _ = self.gru(self._start(x, None, mix))
        at = torch.arange(len(state), device=x.device)
        out: Tensor = self.out(state[at, length.repeat(self.views) - 1])
        return rearrange(out, "(v b) d -> b (v d)", v=self.views)

    def _start(self, x: Tensor, mask: Tensor | None, mix: Mix | None) -> Tensor:
        """Every view as a row of its own, (R, L, V d) -> (V R, L, d)."""
        x = self.drop(rearrange(x, "r l (v d) -> v r l d", v=self.views))
        return rearrange(x if mix is None else mix(x, mask), "v r l d -> (v r) l d")
