"""Memory of transitions: rows of an item-item matrix M summed over a history, as a share of the largest of these sums.

score_j = (h M)_j / max_i (h M)_i,   h: recency^(steps back from the last item)
"""

from __future__ import annotations

import torch
from torch import Tensor

from pte.nn.batch import History
from pte.nn.item_matrix import ItemMatrix, recency


class Memory:
    """Sums of an item-item matrix without negative entries, over their largest."""

    def __init__(self, matrix: ItemMatrix, recency: float) -> None:
        self.matrix, self.recency = matrix, recency

    def score(self, history: History) -> Tensor:
        """(B, N) in 0..1; zeros where nothing of the history was followed by anything."""
        scores = torch.zeros(len(history.item), self.matrix.num_items, device=history.item.device)
        self.add_(scores, history, torch.ones(len(scores), device=scores.device))
        return scores

    def add_(self, scores: Tensor, history: History, gate: Tensor) -> None:
        """scores (B, N) += gate (B,) times `score`, in place."""
        weight = recency(history.item, history.length, self.recency)
        self.matrix.add_(scores, history.item, weight, largest=gate)
