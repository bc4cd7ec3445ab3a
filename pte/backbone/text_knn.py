"""Recommend what reads like the history: cosine of text vectors. No training row is needed, so it shows what text alone
gives, on the coldest items too.

    u = sum_l recency^(steps of l back) z_{h_l},   z = e / |e|,   score_j = cos(u, z_j)  +  fallback * n_j / max n

recency = 1 is the plain mean of the history. The vectors are a representation's, as it has them before any training;
representation=llm_only hands on whitened text vectors. The last term orders items of equal text, which would otherwise
tie for their worst place; a vector of zeros scores -2, behind every other item.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pte.backbone.sequence.count_model import CountModel
from pte.nn.batch import History
from pte.nn.contract import Representation
from pte.nn.item_matrix import train_counts
from pte.nn.noise import Noise
from pte.schema import InputError


class TextKNN(CountModel):
    """Cosines of a representation in which nothing needs training."""

    uses_text = True
    direction: Tensor  # (N+1, D) unit rows; row 0 zeros

    def __init__(
        self, *, representation: Representation, num_items: int, length: int, recency: float, fallback: float
    ) -> None:
        super().__init__(num_items, length, recency=recency, fallback=fallback)
        if not representation.uses_text:
            raise InputError("backbone=text_knn compares text vectors: type representation=llm_only")
        free = sum(p.numel() for p in representation.parameters())
        if free:
            raise InputError(
                f"backbone=text_knn trains nothing, but this representation has {free:,} numbers that would need it:"
                " type representation=llm_only representation.head=none"
            )
        self.register_buffer("direction", F.normalize(representation.table(), dim=1), persistent=False)

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences, for the fallback alone: sequence s is item[start[s]:start[s+1]]."""
        self.set_popularity(train_counts(item, self.num_items))

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): cosines with the recency-weighted history, plus the fallback."""
        weight = self.weights(history)
        items = self.direction[1:]
        with torch.autocast(history.item.device.type, enabled=False):  # rounded cosines would tie
            user = F.embedding_bag(history.item, self.direction, mode="sum", per_sample_weights=weight)
            scores = F.normalize(user, dim=1) @ items.T
        return scores.masked_fill_(~items.any(dim=1), -2.0).add_(self.popularity, alpha=self.fallback)
