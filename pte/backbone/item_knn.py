"""Item-based kNN: cosine of items over the users who have them, shrunk, weighted by recency.

    s_ab = c_ab / (sqrt(n_a n_b) + shrink),   c_ab = users with both,  n_a = users with a,  s_aa = 0
    score_j = sum_l recency^(steps of l back) s_{h_l, j}  +  fallback * n_j / max n

(Sarwar et al., WWW 2001; the shrinkage as in Dacrema et al., RecSys 2019.) Departure: the history is weighted by
recency, without which an unordered model stands no chance at next-item prediction. The last term orders the items that
share no user with the history, which would otherwise tie for the worst place.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from torch import nn

from pte.backbone.sequence.count_model import ItemToItem
from pte.nn.item_matrix import ItemMatrix
from pte.schema import require


class ItemKNN(ItemToItem):
    """Item cosines over the training sequences. Reads no representation."""

    def __init__(
        self, *, representation: nn.Module, num_items: int, length: int, shrink: float, recency: float, fallback: float
    ) -> None:
        super().__init__(num_items, length, recency=recency, fallback=fallback)
        require(shrink >= 0, "backbone.shrink", shrink, "give 0 or more")
        self.shrink = shrink

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences: sequence s is item[start[s]:start[s+1]], oldest first."""
        owned = ownership(item, start, self.num_items)
        both = (owned.T @ owned).tocoo()
        count = both.diagonal()
        other = both.row != both.col
        row, col, value = both.row[other], both.col[other], both.data[other]
        value /= np.sqrt(count[row] * count[col]) + self.shrink
        similarity = ItemMatrix(sparse.csr_array((value, (row, col)), shape=both.shape))
        self.similarity = similarity.to(self.popularity.device)
        self.set_popularity(count)


def ownership(item: np.ndarray, start: np.ndarray, num_items: int) -> sparse.csr_array:
    """(S, N) float32: 1 where a sequence has the item, however often."""
    sequences = len(start) - 1
    place = (np.repeat(np.arange(sequences), np.diff(start)), item - 1)
    owned = sparse.csr_array((np.ones(len(item), np.float32), place), shape=(sequences, num_items))
    owned.data[:] = 1  # building it has added repeated items up
    return owned
