"""Likeness of texts: the cosine of an item's text with a history of texts, and the matrix of each item's nearest texts.

score_j = cos(u, z_j),   u = sum_l recency^(steps of l back) z_{h_l},   z: unit whitened text vectors
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.batch import History
from pte.nn.item_matrix import recency
from pte.nn.item_table import padded
from pte.nn.statistic.neighbor import nearest
from pte.nn.statistic.whitening import axis_count, whitened
from pte.schema import require

KNOB = "backbone.likeness"


class Likeness(nn.Module):
    """Cosine of an item's text with a recency-weighted history of texts."""

    direction: Tensor  # (N+1, d) unit rows, row 0 zeros

    def __init__(self, vectors: Tensor, *, recency: float, components: int | None, eps: float) -> None:
        """vectors: (N, D) text vectors; components: principal axes kept, None keeps all that vary; eps: whitening's."""
        super().__init__()
        require(0 <= recency <= 1, "backbone.likeness.recency", recency, "the weight of one step back, from 0 to 1")
        self.recency = recency
        white = whitened(vectors, axis_count(vectors, components, KNOB), eps, KNOB)
        self.register_buffer("direction", padded(F.normalize(white, dim=1)), persistent=False)

    def score(self, history: History) -> Tensor:
        """(B, N) in -1..1."""
        weight = recency(history.item, history.length, self.recency)
        user = F.embedding_bag(history.item, self.direction, mode="sum", per_sample_weights=weight)
        return (self.direction[1:] @ F.normalize(user, dim=1).T).T  # items first in memory, as a reader's products


def neighbor_matrix(direction: Tensor, count: int) -> sparse.csr_array:
    """(N, N): cosines of unit rows (N, d) with their `count` nearest, nothing below 0, rows summing to 1."""
    near = nearest(direction, count, len(direction))
    cosine = torch.einsum("nd,nkd->nk", direction, direction[near]).clamp_min(0)
    share = (cosine / cosine.sum(dim=1, keepdim=True).clamp_min(1e-12)).cpu().numpy()
    row = np.repeat(np.arange(len(direction)), near.shape[1])
    place = (row, near.cpu().numpy().ravel())
    return sparse.csr_array((share.ravel(), place), shape=(len(direction), len(direction)))
