"""The first candidate, whatever the others: what a pipeline without selection does."""

from __future__ import annotations

import torch

from pte.selector.base import Candidates, Choice, Fit, certain


class First:
    """Candidate 0."""

    withheld_share = 1.0
    reads_reward = False

    def select(self, candidates: Candidates, *, fit: Fit) -> Choice:
        return certain(candidates, torch.zeros(len(candidates), dtype=torch.int64, device=candidates.vector.device))
