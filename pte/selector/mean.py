"""The mean of all candidates at unit length: uses every text and chooses none."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pte.selector.base import Candidates, Choice, Fit


class Mean:
    """v = sum_k e_k / |sum_k e_k|."""

    withheld_share = 1.0
    reads_reward = False

    def select(self, candidates: Candidates, *, fit: Fit) -> Choice:
        K = candidates.num_candidates
        index = torch.full((len(candidates),), 0 if K == 1 else -1, device=candidates.vector.device)
        vector = F.normalize(candidates.vector.sum(dim=1), dim=1)
        return Choice(vector, index, torch.full_like(candidates.reward, 1 / K))
