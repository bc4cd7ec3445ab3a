"""A backbone: the next item from an exponential moving average of the item vectors of the history."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pte.backbone.sequence.next_item import NextItem
from pte.nn.contract import Representation
from pte.nn.loss.base import Loss


class MovingAverage(NextItem):
    """decay: what an item weighs one step later; loss: one of pte's, or a class of your own with the same verbs."""

    def __init__(
        self, *, representation: Representation, num_items: int, length: int, decay: float, loss: Loss
    ) -> None:
        encoder = Average(representation.width, decay)
        super().__init__(representation=representation, num_items=num_items, length=length, encoder=encoder, loss=loss)


class Average(nn.Module):
    """Causal: the state at a place is linear in the items up to it, the latest weighing most."""

    def __init__(self, width: int, decay: float) -> None:
        super().__init__()
        self.decay, self.out = decay, nn.Linear(width, width)

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None = None, mix: Any = None) -> Tensor:
        """(R, L, D) item vectors, `position` (R, L) in their own histories -> (R, L, D)."""
        position = position.expand(x.shape[:2])
        state, states = torch.zeros_like(x[:, 0]), []
        for place in range(x.shape[1]):
            state = torch.where(position[:, place, None] == 0, 0.0, self.decay * state) + x[:, place]
            states.append(state)
        return self.out(torch.stack(states, dim=1))

    def last(self, x: Tensor, length: Tensor, mix: Any = None) -> Tensor:
        """State after the last item of right-padded histories: (B, L, D), (B,) -> (B, D)."""
        states = self(x, torch.arange(x.shape[1], device=x.device))
        return states[torch.arange(len(x), device=x.device), length - 1]
