"""Where the held-out target stands in a full ranking. The tie rule lives here, once.

rank = #{j != target : s_j >= s_target}: 0-based and pessimistic, so that a scorer which gives equal scores to many
items is never flattered; a constant scorer puts every target last. Items are counted: no sort, no top-k.

The scores are read some columns at a time, so that what a comparison writes stays in the cache. It writes 0.0 and 1.0:
torch vectorises that on a CPU, and not a comparison written as bool (five times slower). Scores may lie in memory items
first or histories first, and what is made here lies as they do.

Masked ranks are those of a system that never recommends what the history holds. It cannot hit a repeated target, so
that is a miss: to keep it among the candidates while rivals of the history leave would give away that it is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pte.metric.summary import MISS

_FLAGS = {"cpu": 2**17}  # comparisons written at a time: 512 KiB
_FLAGS_ELSEWHERE = 2**26


@dataclass(frozen=True)
class Ranks:
    """0-based ranks of the targets among all items, (B,) int64 each."""

    masked: Tensor  # items of the history left out, MISS where the target is one of them
    unmasked: Tensor  # nothing left out


@torch.no_grad()
def ranks(scores: Tensor, target: Tensor, exclusion: Tensor) -> Ranks:
    """Ranks of `target` (B,) under `scores` (B, N), column j being item j+1; `exclusion` (B, S) item ids padded with 0.

    An item may stand in `exclusion` more than once; it is left out once.
    """
    _check(scores, target, exclusion)
    own = target[:, None] - 1
    least = scores.gather(1, own)  # what an item must have to be ahead
    unmasked = _at_least(scores, least) - 1  # the target itself
    # padding stands for the target, which is not counted
    column = torch.where(exclusion > 0, exclusion - 1, own).sort(dim=1).values
    once = column != own
    once[:, 1:] &= column[:, 1:] != column[:, :-1]
    masked = unmasked - (once & (scores.gather(1, column) >= least)).sum(dim=1)
    return Ranks(masked=masked.masked_fill((exclusion == target[:, None]).any(dim=1), MISS), unmasked=unmasked)


def _at_least(scores: Tensor, least: Tensor) -> Tensor:
    """#{j : s_j >= least} of every row, (B,) int64, from (B, N) and (B, 1)."""
    columns = max(1, _FLAGS.get(scores.device.type, _FLAGS_ELSEWHERE) // max(1, len(scores)))
    columns = min(columns, 2**24)  # as many ones fp32 adds up exactly
    flags = torch.empty_like(scores[:, :columns], dtype=torch.float32)
    count = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
    for part in scores.split(columns, dim=1):
        count += torch.ge(part, least, out=flags[:, : part.shape[1]]).sum(dim=1).long()
    return count


def _check(scores: Tensor, target: Tensor, exclusion: Tensor) -> None:
    rows, num_items = scores.shape
    if target.shape != (rows,) or exclusion.ndim != 2 or len(exclusion) != rows:
        shapes = f"scores {tuple(scores.shape)}, target {tuple(target.shape)}, exclusion {tuple(exclusion.shape)}"
        raise ValueError(f"expected scores (B, N), target (B,), exclusion (B, S), got {shapes}")
    if rows and (int(target.min()) < 1 or int(target.max()) > num_items):
        raise ValueError(f"targets must be items 1..{num_items}, got {int(target.min())}..{int(target.max())}")
    # A sum with a NaN is NaN: one fast pass in the usual case. So is one of both infinities, hence the second look.
    if scores.sum().isnan() and (nan := int(scores.isnan().sum())):
        raise ValueError(f"{nan} of {scores.numel()} scores are NaN: a NaN compares with nothing and would rank first")
