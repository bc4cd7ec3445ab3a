"""Every entity gets the text of another one of its side, at random: the control that keeps every vector and no meaning.

A method whose figures survive this owes them to something else than the text: to width, scale, or a better loss.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pte.selector.base import Candidates, Choice, Fit


class Permuted:
    """The means of the candidates (selector=mean), dealt out anew among the users and among the items."""

    withheld_share = 1.0
    reads_reward = False

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def select(self, candidates: Candidates, *, fit: Fit) -> Choice:
        generator = torch.Generator().manual_seed(self.seed)
        mean = F.normalize(candidates.vector.sum(dim=1), dim=1)
        vector = mean.clone()
        for side in (candidates.is_user, ~candidates.is_user):
            (place,) = torch.where(side)
            order = torch.randperm(len(place), generator=generator).to(place.device)
            vector[place] = mean[place[order]]
        none_of_its_own = torch.full((len(candidates),), -1, device=mean.device)
        return Choice(vector, none_of_its_own, torch.full_like(candidates.reward, 1 / candidates.num_candidates))
