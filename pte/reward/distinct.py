"""Distinct part: is the entity identified among its look-alikes by its profile?

    R(y) = log p(x | y) = e(y).a_x / tau - log sum_{x' in {x} + look-alikes + random} exp(e(y).a_x' / tau)

with a_x the leave-one-out centroid of x (see space.py): of an item, its other candidates and metadata; of a user, the
visible items. Its mean over x bounds I(Y; X) - log(B + 1) from below (InfoNCE); it is what profile collapse destroys.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pte.reward.base import PartScore
from pte.reward.contrast import MOST_NEGATIVES, NONE, Contrast, info_nce
from pte.reward.data import RewardData
from pte.reward.neighbor import nearest
from pte.reward.space import Space
from pte.schema import require


class Distinct:
    """Identification among the nearest and among random others, half of each."""

    def __init__(self, *, temperature: float = 0.1, negatives: int = 64, sample: int = 4096) -> None:
        require(temperature > 0, "reward.parts.distinct.temperature", temperature, "give a number above 0")
        require(
            2 <= negatives <= MOST_NEGATIVES,
            "reward.parts.distinct.negatives",
            negatives,
            f"give 2 to {MOST_NEGATIVES}",
        )
        require(sample >= 1, "reward.parts.distinct.sample", sample, "give a whole number, 1 or more")
        self.temperature, self.negatives, self.sample = temperature, negatives, sample

    def score(self, data: RewardData, space: Space, generator: torch.Generator) -> PartScore:
        user, user_known = self._side(space.user, space.user_centroid, space.user_leave_one_out, generator)
        item, item_known = self._side(space.item, space.item_centroid, space.item_leave_one_out, generator)
        return PartScore(user, item, user_known, item_known)

    def _side(
        self, candidate: Tensor, centroid: Tensor, leave_one_out: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """(n, K) scores and (n,) whether x has a centroid; all K candidates face the same negatives."""
        x, half = torch.nonzero(centroid.any(dim=1)).squeeze(1), self.negatives // 2
        hard = nearest(centroid, self.negatives - half, sample=self.sample, generator=generator)[x]
        if len(x):
            negative = x[torch.randint(len(x), (len(x), half), generator=generator).to(x.device)]
            hard = torch.cat([hard, negative.masked_fill(negative == x[:, None], NONE)], dim=1)
        contrast = Contrast(x, x, hard)
        scores = [
            info_nce(candidate[:, k : k + 1], leave_one_out[:, k], contrast, self.temperature)
            for k in range(candidate.shape[1])
        ]
        return torch.cat([score for score, _ in scores], dim=1), scores[0][1]
