"""Who bought this also bought: cosine of items over the users who have them, shrunk, read with recency.

    s_ab = c_ab / (sqrt(n_a n_b) + shrink),   c_ab = users with both,  n_a = users with a,  s_aa = 0
    score_j = sum_l recency^(steps of l back) s_{h_l, j}  +  fallback * n_j / max n

(Sarwar et al., WWW 2001; the shrinkage as in Dacrema et al., RecSys 2019.) Departure: the history is weighted by
recency, without which an unordered model stands no chance at next-item prediction. The last term orders the items that
share no user with the history, which would otherwise tie for the worst place.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from pte.nn.batch import History
from pte.nn.contract import Backbone
from pte.nn.item_matrix import ItemMatrix, recency
from pte.nn.noise import Noise
from pte.schema import InputError, require


class ItemKNN(nn.Module, Backbone):
    """Item cosines over the training sequences. Reads no representation."""

    trained = False
    popularity: Tensor  # (N,) float32, empty until `fit`

    def __init__(
        self, *, representation: nn.Module, num_items: int, length: int, shrink: float, recency: float, fallback: float
    ) -> None:
        super().__init__()
        if not 0 <= recency <= 1:
            raise InputError(f"backbone.recency={recency}: it is the weight of one step back, so from 0 to 1")
        for name, value in {"shrink": shrink, "fallback": fallback}.items():
            require(value >= 0, f"backbone.{name}", value, "give 0 or more")
        self.num_items, self.length = num_items, length
        self.shrink, self.recency, self.fallback = shrink, recency, fallback
        self.similarity: ItemMatrix | None = None
        self.register_buffer("popularity", torch.empty(0), persistent=False)

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences: sequence s is item[start[s]:start[s+1]], oldest first."""
        owned = ownership(item, start, self.num_items)
        both = (owned.T @ owned).tocoo()
        count = both.diagonal()
        other = both.row != both.col
        row, col, value = both.row[other], both.col[other], both.data[other]
        value /= np.sqrt(count[row] * count[col]) + self.shrink
        device = self.popularity.device
        self.similarity = ItemMatrix(sparse.csr_array((value, (row, col)), shape=both.shape)).to(device)
        self.popularity = torch.from_numpy(count / max(1.0, count.max())).float().to(device)

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): recency-weighted rows of the similarity, plus the fallback."""
        if self.similarity is None:
            raise RuntimeError("fit comes before score")
        scores = self.similarity(history.item, recency(history.item, history.length, self.recency))
        return scores.add_(self.popularity, alpha=self.fallback)


def ownership(item: np.ndarray, start: np.ndarray, num_items: int) -> sparse.csr_array:
    """(S, N) float32: 1 where a sequence has the item, however often."""
    sequences = len(start) - 1
    place = (np.repeat(np.arange(sequences), np.diff(start)), item - 1)
    owned = sparse.csr_array((np.ones(len(item), np.float32), place), shape=(sequences, num_items))
    owned.data[:] = 1  # building it has added repeated items up
    return owned
