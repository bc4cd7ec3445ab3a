"""A part of the reward: longer texts are better, up to a length."""

from __future__ import annotations

import torch
from torch import Tensor

from pte.reward.base import PartScore
from pte.reward.data import RewardData
from pte.reward.space import Space


class Length:
    """Words of a text over `words`, at most 1."""

    def __init__(self, *, words: int) -> None:
        self.words = words

    def score(self, data: RewardData, space: Space, generator: torch.Generator) -> PartScore:
        user, item = (self._side(side.text).to(data.user.device) for side in (data.user_texts, data.item_texts))
        known = (torch.ones(len(score), dtype=torch.bool, device=score.device) for score in (user, item))
        return PartScore(user, item, *known)

    def _side(self, texts: list[list[str]]) -> Tensor:
        """(n, K) from the K candidate texts of every user or item."""
        return torch.tensor([[min(1.0, len(text.split()) / self.words) for text in row] for row in texts])
