"""Transitions: co-occurrence in a window, weighted by recency: a strong count-based baseline.

Over all training pairs "a, then b d steps later" (d <= window):

    c_ab = #_d d^-distance_power  +  backward * (the same of the pairs "b, then a")
    s_ab = c_ab / sqrt((n_a + shrink) (n_b + shrink))                    n = training counts
    score_j = sum_l recency^(steps of l back) s_{h_l, j}  +  fallback * n_j / max n

This is a first-order Markov chain (Rendle et al., WWW 2010, without its factors) widened to a window and shrunk as in
item-based kNN (Koren, 2008: few observations say little). On sparse reviews it beats most trained sequence models.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from torch import nn

from pte.backbone.sequence.count_model import ItemToItem
from pte.nn.item_matrix import ItemMatrix, train_counts
from pte.schema import require


class Markov(ItemToItem):
    """Windowed co-occurrence of the training sequences. Reads no representation."""

    def __init__(
        self,
        *,
        representation: nn.Module,
        num_items: int,
        length: int,
        window: int,
        distance_power: float,
        backward: float,
        shrink: float,
        recency: float,
        fallback: float,
    ) -> None:
        super().__init__(num_items, length, recency=recency, fallback=fallback)
        require(window >= 1, "backbone.window", window, "a pair is at least 1 step apart; type backbone.window=10")
        for name, value in {"backward": backward, "shrink": shrink, "distance_power": distance_power}.items():
            require(value >= 0, f"backbone.{name}", value, "give 0 or more")
        self.window, self.distance_power, self.backward, self.shrink = window, distance_power, backward, shrink

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences: sequence s is item[start[s]:start[s+1]], oldest first."""
        count = train_counts(item, self.num_items)
        forward = pair_counts(item, start, self.num_items, window=self.window, distance_power=self.distance_power)
        # 1 / sqrt(n + shrink) of an item without training rows is never used: it has no pairs either.
        scale = sparse.diags_array(1 / np.sqrt(np.maximum(count, 1) + self.shrink))
        similarity = scale @ (forward + self.backward * forward.T) @ scale
        self.similarity = ItemMatrix(similarity.tocsr()).to(self.popularity.device)
        self.set_popularity(count)


def pair_counts(
    item: np.ndarray, start: np.ndarray, num_items: int, *, window: int, distance_power: float
) -> sparse.csr_array:
    """(N, N): entry [a-1, b-1] sums d^-distance_power over the pairs "a, then b d steps later", d <= window."""
    sequence = np.repeat(np.arange(len(start) - 1), np.diff(start))
    earlier, later, weight = [], [], []
    for d in range(1, min(window, int(np.diff(start).max(initial=0)) - 1) + 1):  # no pair is further apart
        same = sequence[d:] == sequence[:-d]
        earlier.append(item[:-d][same] - 1)
        later.append(item[d:][same] - 1)
        weight.append(np.full(len(earlier[-1]), d**-distance_power))
    if not earlier:
        return sparse.csr_array((num_items, num_items))
    place = (np.concatenate(earlier), np.concatenate(later))
    return sparse.csr_array((np.concatenate(weight), place), shape=(num_items, num_items))
