"""Every user gets the same list: items by how often training has them. The floor under every table.

The score of item j is n_j / max n, its share of the most frequent item's training rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pte.nn.batch import History
from pte.nn.contract import Backbone
from pte.nn.item_matrix import train_counts
from pte.nn.noise import Noise


class Popularity(nn.Module, Backbone):
    """Counts of the training rows. Reads no representation."""

    trained = False
    popularity: Tensor  # (N,) float32, empty until `fit`

    def __init__(self, *, representation: nn.Module, num_items: int) -> None:
        super().__init__()
        self.num_items, self.length = num_items, 1  # the history is not read
        self.register_buffer("popularity", torch.empty(0), persistent=False)

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences: sequence s is item[start[s]:start[s+1]], oldest first."""
        count = train_counts(item, self.num_items)
        self.popularity = torch.from_numpy(count / max(1.0, count.max())).float().to(self.popularity.device)

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): the same row for every history."""
        return self.popularity.expand(len(history.item), -1).contiguous()
