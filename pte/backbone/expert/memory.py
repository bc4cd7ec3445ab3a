"""Memory of transitions: rows of an item-item matrix M summed over a history, as a share of the largest of these sums.

score_j = (h M)_j / max_i (h M)_i,   h: recency^(steps back from the last item)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pte.nn.batch import History
from pte.nn.item_matrix import ItemMatrix, recency


class Memory:
    """Sums of an item-item matrix without negative entries, over their largest."""

    def __init__(self, matrix: ItemMatrix) -> None:
        self.matrix = matrix

    def score(self, history: History, decay: float) -> Tensor:
        """(B, N) in 0..1; zeros where nothing of the history was followed by anything."""
        scores = torch.zeros(len(history.item), self.matrix.num_items, device=history.item.device)
        self.add_(scores, history, torch.ones(1, len(scores), device=scores.device), [decay])
        return scores

    def add_(self, scores: Tensor, history: History, gates: Tensor, decays: Sequence[float]) -> None:
        """scores (B, N) += gates (R, B) times the `score` of each of R decays, in place."""
        weight = torch.stack([recency(history.item, history.length, decay) for decay in decays])
        self.matrix.add_(scores, history.item, weight, largest=gates)
