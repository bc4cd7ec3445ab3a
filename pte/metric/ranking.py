"""Hit, Recall, NDCG and MRR at k from 0-based ranks with one target per case; a torchmetrics Metric that sums exactly.

With one target: Hit@k = Recall@k = [rank < k], NDCG@k = [rank < k] / log2(rank + 2), MRR@k = [rank < k] / (rank + 1).

The Metric keeps no ranks and no float sums: its state is the integer count of every rank below the largest k. Integers
add up to the same total in any order, so the figure does not depend on the number of processes or the batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from pte.metric.summary import KS


def hit(rank: Tensor, k: int) -> Tensor:
    """[rank < k], per case (B,)."""
    return (rank < k).to(torch.get_default_dtype())


def recall(rank: Tensor, k: int) -> Tensor:
    """The share of the targets found among the first k: with one target the same as Hit@k."""
    return hit(rank, k)


def ndcg(rank: Tensor, k: int) -> Tensor:
    """[rank < k] / log2(rank + 2): the ideal ranking has gain 1, so nothing else is to be divided by."""
    return hit(rank, k) / (rank + 2).to(torch.get_default_dtype()).log2()


def mrr(rank: Tensor, k: int) -> Tensor:
    """[rank < k] / (rank + 1)."""
    return hit(rank, k) / (rank + 1)


METRICS = {"Hit": hit, "Recall": recall, "NDCG": ndcg, "MRR": mrr}


class RankingMetric(Metric):
    """Means of all four metrics at every k: `update(rank)` with 0-based ranks (B,), `compute()` -> {"NDCG@10": ...}."""

    full_state_update = False
    count: Tensor  # (max k,) int64: cases per rank
    total: Tensor  # () int64: all cases

    def __init__(self, *, ks: Sequence[int] = KS, **options: Any) -> None:
        super().__init__(**options)
        self.ks = tuple(int(k) for k in ks)
        if not self.ks or min(self.ks) < 1:
            raise ValueError(f"ks must be one or more positive cut-offs, got {tuple(ks)}")
        self.add_state("count", torch.zeros(max(self.ks), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, rank: Tensor) -> None:
        if rank.numel() and int(rank.min()) < 0:
            raise ValueError(f"ranks start at 0, got {int(rank.min())}")
        bins = rank.clamp(max=len(self.count))  # the last bin takes every rank that no k reaches, and is dropped
        self.count += torch.bincount(bins, minlength=len(self.count) + 1)[:-1].to(self.count.device)
        self.total += rank.numel()

    def compute(self) -> dict[str, Tensor]:
        if int(self.total) == 0:
            raise ValueError("no case was ranked, so there is nothing to average")
        count, rank = self.count.cpu().double(), torch.arange(len(self.count))
        means = {
            f"{name}@{k}": (count * metric(rank, k).double()).sum() / int(self.total)
            for name, metric in METRICS.items()
            for k in self.ks
        }
        return {name: mean.to(self.count.device, torch.get_default_dtype()) for name, mean in means.items()}
