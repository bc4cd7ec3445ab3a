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
from pte.backbone.sequence.count_model import CountModel
from pte.nn.batch import History
from pte.nn.noise import Noise
from pte.schema import InputError


class EASE(CountModel):
    """A ridge regression of all items on all others. Reads no representation."""

    weight: Tensor  # (N+1, N) float32, row 0 zeros, empty until `fit`

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
        super().__init__(num_items, length, recency=recency, fallback=fallback)
        if ridge <= 0:
            raise InputError(f"backbone.ridge={ridge}: only a positive ridge gives an inverse; type backbone.ridge=100")
        if num_items > max_items:
            memory, work = 3 * 4 * num_items**2 / 2**30, num_items**3 / 1e12
            raise InputError(
                f"backbone=ease inverts a matrix of {num_items:,} x {num_items:,} items: about {memory:,.0f} GiB of"
                f" memory and {work:,.0f} T multiply-adds. Take backbone=item_knn, or allow it by typing"
                f" backbone.max_items={num_items}."
            )
        self.ridge = ridge
        self.register_buffer("weight", torch.empty(0), persistent=False)

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Solve for training sequences: sequence s is item[start[s]:start[s+1]]."""
        owned = ownership(item, start, self.num_items)
        count = owned.sum(axis=0)
        gram = torch.from_numpy((owned.T @ owned).toarray()).to(self.weight.device)
        self.weight = zero_diagonal_ridge(gram, self.ridge)
        self.set_popularity(count)

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): recency-weighted rows of B, plus the fallback."""
        scores = F.embedding_bag(history.item, self.weight, mode="sum", per_sample_weights=self.weights(history))
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
