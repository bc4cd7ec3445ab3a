"""Nearest neighbours by cosine."""

from __future__ import annotations

import torch
from torch import Tensor

from pte.nn.loss.alignment import unit

_BLOCK = 2**25  # similarities worked out at a time


def mean_by_sequence(table: Tensor, item: Tensor, begin: Tensor, length: Tensor) -> Tensor:
    """(S, d) mean of the table's rows over each sequence s, item[begin[s] : begin[s] + length[s]]."""
    owner = torch.repeat_interleave(torch.arange(len(begin), device=item.device), length)
    within = torch.arange(len(owner), device=item.device) - torch.repeat_interleave(length.cumsum(0) - length, length)
    total = torch.zeros(len(begin), table.shape[1], device=table.device)
    total.index_add_(0, owner, table[item[begin[owner] + within]])
    return total / length[:, None]


def nearest(vectors: Tensor, count: int, pool: int) -> Tensor:
    """(n, k) rows of largest cosine with each row of (n, d), itself left out; k = min(count, size of the pool - 1).

    Searched among at most `pool` rows, evenly spaced: the work is n times the pool's size.
    """
    size = min(pool, len(vectors))
    among = (torch.arange(size, device=vectors.device) * len(vectors)) // size
    direction = unit(vectors)
    neighbors = []
    for block in torch.arange(len(vectors), device=vectors.device).split(max(1, _BLOCK // size)):
        cosine = direction[block] @ direction[among].T
        cosine.masked_fill_(block[:, None] == among, -torch.inf)
        neighbors.append(among[cosine.topk(min(count, size - 1), dim=1).indices])
    return torch.cat(neighbors)
