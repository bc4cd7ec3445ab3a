"""A candidate drawn at random: the control that has the diversity of K candidates and no judgement."""

from __future__ import annotations

import torch

from pte.selector.base import Candidates, Choice, Fit, certain


class Random:
    """Uniform over the K candidates."""

    withheld_share = 1.0
    reads_reward = False

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def select(self, candidates: Candidates, *, fit: Fit) -> Choice:
        generator = torch.Generator().manual_seed(self.seed)
        index = torch.randint(candidates.num_candidates, (len(candidates),), generator=generator)
        return certain(candidates, index.to(candidates.vector.device))
