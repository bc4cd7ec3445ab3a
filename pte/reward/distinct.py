"""Distinct part: can the entity be told from its look-alikes by its profile?

    R(y) = log p(x | y) = e(y).h_x / tau - log sum_{x' in {x} + look-alikes + random} exp(e(y).h_x' / tau)

with h_x what x is known by without a profile: the mean metadata vector of a user's visible items, an item's metadata
vector. Its mean over x bounds log(B + 1) - I(Y; X) from below (InfoNCE); it is what profile collapse destroys.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pte.reward.base import PartScore, RewardData, SideData
from pte.reward.contrast import NONE, Contrast, info_nce
from pte.reward.neighbor import nearest
from pte.schema import InputError


class Distinct:
    """Identification among the nearest and among random others, half of each."""

    def __init__(self, *, temperature: float = 0.07, negatives: int = 64, sample: int = 4096) -> None:
        if temperature <= 0 or negatives < 2:
            raise InputError(f"reward: temperature={temperature} must be positive, negatives={negatives} at least 2")
        self.temperature, self.negatives, self.sample = temperature, negatives, sample

    def score(self, data: RewardData, generator: torch.Generator) -> PartScore:
        user, user_known = self._side(data.user, generator)
        item, item_known = self._side(data.item, generator)
        return PartScore(user, item, user_known, item_known)

    def _side(self, side: SideData, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        h, half = side.context, self.negatives // 2
        x = torch.nonzero(h.any(dim=1)).squeeze(1)
        hard = nearest(h, self.negatives - half, sample=self.sample, generator=generator)[x]
        if not len(x):
            return info_nce(side.candidate, h, Contrast(x, x, hard), self.temperature)
        drawn = x[torch.randint(len(x), (len(x), half), generator=generator).to(x.device)]
        negative = torch.cat([hard, drawn.masked_fill(drawn == x[:, None], NONE)], dim=1)
        return info_nce(side.candidate, h, Contrast(x, x, negative), self.temperature)
