"""A part of the reward: longer texts are better, up to a length."""

from __future__ import annotations

import torch

from pte.reward.base import PartScore
from pte.reward.data import RewardData
from pte.reward.space import Space


class Length:
    """Words of a text over `words`, at most 1."""

    def __init__(self, *, words: int) -> None:
        self.words = words

    def score(self, data: RewardData, space: Space, generator: torch.Generator) -> PartScore:
        """(E, K) from the K candidate texts of every user and item; all are known."""
        value = [[min(1.0, len(text.split()) / self.words) for text in texts] for texts in data.text]
        known = torch.ones(len(value), dtype=torch.bool, device=data.vector.device)
        return PartScore(torch.tensor(value, device=data.vector.device), known)
