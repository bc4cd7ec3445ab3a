"""Every entity gets the text of another one of its side, at random: the control that keeps every vector and no meaning.

A method whose figures survive this owes them to something else than the text: to width, scale, or a better loss.
"""

from __future__ import annotations

import torch

from pte.selector.base import Candidates, Choice, Fit


class Permuted:
    """The first candidates, dealt out anew among the users and among the items."""

    withheld_share = 1.0
    reads_reward = False

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def select(self, candidates: Candidates, *, fit: Fit) -> Choice:
        generator = torch.Generator().manual_seed(self.seed)
        index = torch.zeros(len(candidates), dtype=torch.int64, device=candidates.vector.device)
        first = candidates.take(index)
        vector = first.clone()
        for side in (candidates.is_user, ~candidates.is_user):
            (place,) = torch.where(side)
            order = torch.randperm(len(place), generator=generator).to(place.device)
            vector[place] = first[place[order]]
        none_of_its_own = torch.full_like(index, -1)
        return Choice(vector, none_of_its_own, torch.full_like(candidates.reward, 1 / candidates.num_candidates))
