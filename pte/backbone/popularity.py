"""Most-popular baseline: every user gets the same list, items by their number of training rows.

The score of item j is n_j / max n, its share of the most frequent item's training rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pte.backbone.sequence.count_model import CountModel
from pte.nn.batch import History
from pte.nn.item_matrix import train_counts
from pte.nn.noise import Noise


class Popularity(CountModel):
    """Counts of the training rows. Reads no representation."""

    def __init__(self, *, representation: nn.Module, num_items: int) -> None:
        super().__init__(num_items, 1)  # the history is not read

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences: sequence s is item[start[s]:start[s+1]], oldest first."""
        self.set_popularity(train_counts(item, self.num_items))

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): the same row for every history."""
        return self.popularity.expand(len(history.item), -1).contiguous()
