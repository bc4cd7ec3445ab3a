"""What backbones share that count training sequences instead of being trained.

    score_j = ...  +  fallback * n_j / max n

The last term orders the items that the rest leaves tied: ranks are pessimistic under ties, so without it all of them
would share the worst place. It is small enough to reorder next to nothing else.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pte.nn.batch import History
from pte.nn.contract import Backbone
from pte.nn.item_matrix import ItemMatrix, recency
from pte.nn.noise import Noise
from pte.schema import require


class CountModel(nn.Module, Backbone):
    """A backbone with `fit` and no loss. Reads no representation, unless a subclass does."""

    trained = False
    popularity: Tensor  # (N,) float32, n_j / max n, empty until `fit`

    def __init__(self, num_items: int, length: int, *, recency: float = 1.0, fallback: float = 0.0) -> None:
        """recency: weight of one step back in the history, 0 to 1; fallback: weight of popularity, 0 or more."""
        super().__init__()
        require(0 <= recency <= 1, "backbone.recency", recency, "the weight of one step back, from 0 to 1")
        require(fallback >= 0, "backbone.fallback", fallback, "give 0 or more")
        self.num_items, self.length, self.recency, self.fallback = num_items, length, recency, fallback
        self.register_buffer("popularity", torch.empty(0), persistent=False)

    def set_popularity(self, count: np.ndarray) -> None:
        """From training rows of each item, (N,)."""
        popularity = torch.from_numpy(count / max(1.0, count.max())).float()
        self.popularity = popularity.to(self.popularity.device)

    def weights(self, history: History) -> Tensor:
        """(B, L) recency^(steps back); RuntimeError before `fit`."""
        if not len(self.popularity):
            raise RuntimeError("fit comes before score")
        return recency(history.item, history.length, self.recency)


class ItemToItem(CountModel):
    """score_j = sum_l recency^(steps of l back) s_{h_l, j}  +  fallback * n_j / max n, of a sparse matrix s (N, N)."""

    def __init__(self, num_items: int, length: int, *, recency: float, fallback: float) -> None:
        super().__init__(num_items, length, recency=recency, fallback=fallback)
        self.similarity: ItemMatrix | None = None  # until `fit`

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): recency-weighted rows of the similarity, plus the fallback."""
        weights = self.weights(history)
        assert self.similarity is not None
        scores: Tensor = self.similarity(history.item, weights)
        return scores.add_(self.popularity, alpha=self.fallback)
