"""EASE^R: the linear item-item model with zero diagonal that reconstructs every user's items best, in closed form.

    min_B |X - X B|^2 + lambda |B|^2,  diag B = 0      =>      P = (X^T X + lambda I)^-1,  B_ij = -P_ij / P_jj (i != j)
    score_j = sum_l recency^(steps of l back) B_{h_l, j}  +  fallback * n_j / max n

Steck, WWW 2019 (Eqs. 1-8); X is the users' 0/1 rows of training. Departure: the history is weighted by recency. The
inverse is dense, so time grows with N^3 and memory with N^2: a catalogue over `max_items` is refused, not swapped.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.backbone.item_knn import ownership
from pte.nn.batch import History
from pte.nn.contract import Backbone
from pte.nn.item_matrix import recency
from pte.nn.noise import Noise
from pte.schema import InputError, require


class EASE(nn.Module, Backbone):
    """A ridge regression of all items on all others. Reads no representation."""

    trained = False
    weight: Tensor  # (N+1, N) float32, row 0 zeros, empty until `fit`
    popularity: Tensor  # (N,) float32

    def __init__(
        self,
        *,
        representation: nn.Module,
        num_items: int,
        length: int,
        ridge: float,
        recency: float,
        fallback: float,
        max_items: int,
    ) -> None:
        super().__init__()
        if ridge <= 0:
            raise InputError(f"backbone.ridge={ridge}: only a positive ridge gives an inverse; type backbone.ridge=100")
        require(0 <= recency <= 1, "backbone.recency", recency, "the weight of one step back, from 0 to 1")
        require(fallback >= 0, "backbone.fallback", fallback, "give 0 or more")
        if num_items > max_items:
            memory, work = 3 * 4 * num_items**2 / 2**30, num_items**3 / 1e12
            raise InputError(
                f"backbone=ease inverts a matrix of {num_items:,} x {num_items:,} items: about {memory:,.0f} GiB of"
                f" memory and {work:,.0f} T multiply-adds. Take backbone=item_knn, or allow it by typing"
                f" backbone.max_items={num_items}."
            )
        self.num_items, self.length = num_items, length
        self.ridge, self.recency, self.fallback = ridge, recency, fallback
        for name in ("weight", "popularity"):
            self.register_buffer(name, torch.empty(0), persistent=False)

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Solve for training sequences: sequence s is item[start[s]:start[s+1]]."""
        owned = ownership(item, start, self.num_items)
        count = owned.sum(axis=0)
        device = self.weight.device
        gram = torch.from_numpy((owned.T @ owned).toarray()).to(device)
        self.weight = zero_diagonal_ridge(gram, self.ridge)
        self.popularity = torch.from_numpy(count / max(1.0, count.max())).float().to(device)

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): recency-weighted rows of B, plus the fallback."""
        if not len(self.weight):
            raise RuntimeError("fit comes before score")
        weight = recency(history.item, history.length, self.recency)
        scores = F.embedding_bag(history.item, self.weight, mode="sum", per_sample_weights=weight)
        return scores.add_(self.popularity, alpha=self.fallback)


@torch.no_grad()
def zero_diagonal_ridge(gram: Tensor, ridge: float) -> Tensor:
    """B (N+1, N) with row 0 zeros for padding, from X^T X (N, N), which is overwritten.

    float32 suffices: the ridge bounds the condition number by 1 + |X^T X| / lambda, some thousands at most.
    """
    gram.diagonal().add_(ridge)
    factor = torch.linalg.cholesky(gram, out=gram)
    inverse = torch.cholesky_inverse(factor)
    weight = torch.zeros(len(inverse) + 1, len(inverse), device=inverse.device)
    torch.div(inverse, -inverse.diagonal(), out=weight[1:])
    weight[1:].fill_diagonal_(0)
    return weight
