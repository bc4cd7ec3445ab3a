"""Distinct part: is the entity identified among its look-alikes by its profile?

    R(y) = log p(x | y) = e(y).a_x / tau - log sum_{x' in {x} + look-alikes + random} exp(e(y).a_x' / tau)

with a_x the leave-one-out centroid of x (see space.py): of an item, its other candidates and metadata; of a user, the
visible items. Its mean over x bounds I(Y; X) - log(B + 1) from below (InfoNCE); it is what profile collapse destroys.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pte.reward.base import PartScore
from pte.reward.contrast import NONE, Contrast, check_knobs, info_nce
from pte.reward.data import RewardData
from pte.reward.neighbor import nearest
from pte.reward.space import Space


class Distinct:
    """Identification among the nearest and among random others, half of each."""

    def __init__(self, *, temperature: float = 0.1, negatives: int = 64, sample: int = 4096) -> None:
        check_knobs("distinct", temperature, negatives, sample)
        self.temperature, self.negatives, self.sample = temperature, negatives, sample

    def score(self, data: RewardData, space: Space, generator: torch.Generator) -> PartScore:
        """All K candidates of an entity face the same negatives."""
        sides = [self._contrast(space.centroid, data.entities.side(name), generator) for name in ("user", "item")]
        value, known = torch.zeros(space.vector.shape[:2], device=space.vector.device), space.centroid.any(dim=1)
        for k in range(space.vector.shape[1]):
            candidate, others = space.vector[:, k : k + 1], space.leave_one_out(k)
            value[:, k] = sum(info_nce(candidate, others, side, self.temperature)[0][:, 0] for side in sides)
        return PartScore(value, known)

    def _contrast(self, centroid: Tensor, rows: slice, generator: torch.Generator) -> Contrast:
        """The entities of a side that have a centroid against others of the side."""
        known, half = torch.nonzero(centroid[rows].any(dim=1)).squeeze(1), self.negatives // 2
        near = nearest(centroid, self.negatives - half, rows=rows, sample=self.sample, generator=generator)[known]
        x = known + rows.start
        other = x[torch.randint(max(1, len(x)), (len(x), half), generator=generator).to(x.device)]
        return Contrast(x, x, torch.cat([near, other.masked_fill(other == x[:, None], NONE)], dim=1))
