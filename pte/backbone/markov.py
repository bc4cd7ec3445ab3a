"""What is bought around what: co-occurrence in a window, read with recency. A count model that flatters nobody.

Over all training pairs "a, then b d steps later" (d <= window):

    c_ab = #_d d^-distance_power  +  backward * (the same of the pairs "b, then a")
    s_ab = c_ab / sqrt((n_a + shrink) (n_b + shrink))                    n = training counts
    score_j = sum_l recency^(steps of l back) s_{h_l, j}  +  fallback * n_j / max n

This is a first-order Markov chain (Rendle et al., WWW 2010, without its factors) widened to a window and shrunk as in
item-based kNN (Koren, 2008: few observations say little). On sparse reviews it beats most trained sequence models.

The last term orders the items that met none of the history's: ranks are pessimistic under ties, so without it all of
them would share the worst place. It is small enough to reorder next to nothing else.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from pte.nn.batch import History
from pte.nn.contract import Backbone
from pte.nn.item_matrix import ItemMatrix, recency, train_counts
from pte.nn.noise import Noise
from pte.schema import InputError, require


class Markov(nn.Module, Backbone):
    """Windowed co-occurrence of the training sequences. Reads no representation."""

    trained = False
    popularity: Tensor  # (N,) float32, empty until `fit`

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
        super().__init__()
        if window < 1:
            raise InputError(f"backbone.window={window}: a pair is at least 1 step apart; type backbone.window=10")
        if not 0 <= recency <= 1:
            raise InputError(f"backbone.recency={recency}: it is the weight of one step back, so from 0 to 1")
        for name, value in {"backward": backward, "shrink": shrink, "fallback": fallback}.items():
            require(value >= 0, f"backbone.{name}", value, "give 0 or more")
        self.num_items, self.length = num_items, length
        self.window, self.distance_power = window, distance_power
        self.backward, self.shrink, self.recency, self.fallback = backward, shrink, recency, fallback
        self.similarity: ItemMatrix | None = None
        self.register_buffer("popularity", torch.empty(0), persistent=False)

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences: sequence s is item[start[s]:start[s+1]], oldest first."""
        count = train_counts(item, self.num_items)
        forward = pair_counts(item, start, self.num_items, window=self.window, distance_power=self.distance_power)
        # 1 / sqrt(n + shrink) of an item without training rows is never used: it has no pairs either.
        scale = sparse.diags_array(1 / np.sqrt(np.maximum(count, 1) + self.shrink))
        similarity = scale @ (forward + self.backward * forward.T) @ scale
        device = self.popularity.device
        self.similarity = ItemMatrix(similarity.tocsr()).to(device)
        self.popularity = torch.from_numpy(count / max(1.0, count.max())).float().to(device)

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): recency-weighted rows of the similarity, plus the fallback."""
        if self.similarity is None:
            raise RuntimeError("fit comes before score")
        scores = self.similarity(history.item, recency(history.item, history.length, self.recency))
        return scores.add_(self.popularity, alpha=self.fallback)


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
