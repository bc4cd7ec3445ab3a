"""Likeness of texts: the cosine of an item's text with a history of texts, and the matrix of each item's nearest texts.

score_j = cos(u, z_j),   u = sum_l recency^(steps of l back) z_{h_l},   z: unit whitened text vectors

As a sum over the history, cos(u, z_j) = sum_l recency^(..) z_{h_l} . z_j / |u|; with `neighbors` = k an item of
the history speaks for its k nearest texts and itself alone, so that scoring adds up some rows of a sparse matrix where
it took a product with every item.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.batch import History
from pte.nn.item_matrix import ItemMatrix, recency
from pte.nn.item_table import padded
from pte.nn.statistic.neighbor import nearest
from pte.nn.statistic.whitening import axis_count, whitened
from pte.schema import require

KNOB = "backbone.likeness"
TINY = 1e-12
_BLOCK = 2**10  # items whose neighbours are compared at a time


class Likeness(nn.Module):
    """Cosine of an item's text with a recency-weighted history of texts."""

    direction: Tensor  # (N+1, d) unit rows, row 0 zeros

    def __init__(
        self, vectors: Tensor, *, recency: float, components: int | None, eps: float, neighbors: int | None = None
    ) -> None:
        """vectors: (N, D) text vectors; components: principal axes kept, None keeps all that vary; neighbors: texts
        that an item of the history speaks for, None: all; eps: whitening's.
        """
        super().__init__()
        require(0 <= recency <= 1, "backbone.likeness.recency", recency, "the weight of one step back, from 0 to 1")
        self.recency = recency
        white = whitened(vectors, axis_count(vectors, components, KNOB), eps, KNOB)
        self.register_buffer("direction", padded(F.normalize(white, dim=1, out=white)), persistent=False)
        self.near = None
        if neighbors is not None:
            require(neighbors >= 1, f"{KNOB}.neighbors", neighbors, "give a whole number, 1 or more, or null for all")
            if not white.is_meta:
                self.near = ItemMatrix(cosine_matrix(self.direction[1:], neighbors))

    def score(self, history: History, decay: float) -> Tensor:
        """(B, N) in -1..1."""
        scores = torch.zeros(len(self.direction) - 1, len(history.item), device=self.direction.device).T
        self.add_(scores, history, torch.ones(1, len(history.item), device=scores.device), [decay])
        return scores

    def add_(self, scores: Tensor, history: History, gates: Tensor, decays: Sequence[float]) -> None:
        """scores (B, N) += the sum of gates (R, B) times the `score` of each of R decays, in place: one product."""
        weight = torch.zeros(history.item.shape, device=scores.device)
        for gate, decay in zip(gates, decays, strict=True):
            own = recency(history.item, history.length, decay)
            weight += own * (gate / self._sum(history, own).norm(dim=1).clamp_min(TINY))[:, None]
        if self.near is None:
            scores.T.addmm_(self.direction[1:], self._sum(history, weight).T)  # items first in memory, as a reader's
        else:
            self.near.add_(scores, history.item, weight)

    def _sum(self, history: History, weight: Tensor) -> Tensor:
        """(B, d): the history's vectors under weights (B, L)."""
        return F.embedding_bag(history.item, self.direction, mode="sum", per_sample_weights=weight)


def cosine_matrix(direction: Tensor, count: int) -> sparse.csr_array:
    """(N, N): cosines of unit rows (N, d) with their `count` nearest and with themselves."""
    cosine, near = nearest_cosines(direction, count)
    own = direction.square().sum(dim=1, keepdim=True)  # 1, or 0 of a vector that is 0
    return _csr(torch.cat([cosine, own], 1), torch.cat([near, _own(near)], 1))


def neighbor_matrix(direction: Tensor, count: int) -> sparse.csr_array:
    """(N, N): cosines of unit rows (N, d) with their `count` nearest, nothing below 0, rows summing to 1."""
    cosine, near = nearest_cosines(direction, count)
    cosine = cosine.clamp_min(0)
    return _csr(cosine / cosine.sum(dim=1, keepdim=True).clamp_min(TINY), near)


def nearest_cosines(direction: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, k) each: cosines of unit rows (N, d) with their nearest, and which these are."""
    near = nearest(direction, count, len(direction))
    parts = zip(direction.split(_BLOCK), near.split(_BLOCK), strict=True)
    return torch.cat([torch.einsum("nd,nkd->nk", own, direction[other]) for own, other in parts]), near


def _own(near: Tensor) -> Tensor:
    return torch.arange(len(near), device=near.device)[:, None]


def _csr(value: Tensor, column: Tensor) -> sparse.csr_array:
    """(N, N) of these values and columns (N, k)."""
    row = np.repeat(np.arange(len(value)), value.shape[1])
    place = (row, column.cpu().numpy().ravel())
    return sparse.csr_array((value.cpu().numpy().ravel(), place), shape=(len(value), len(value)))
