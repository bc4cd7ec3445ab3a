"""Where the held-out target stands in a full ranking. The tie rule lives here, once.

rank = #{j != target : s_j >= s_target}: 0-based and pessimistic, so that a scorer which gives equal scores to many
items is never flattered; a constant scorer puts every target last. Items are counted: no sort, no top-k.

Comparisons are written as 0.0 and 1.0: torch vectorises those on a CPU, and not comparisons written as bool (five times
slower). Scores may lie in memory items first or histories first; what is made here lies as they do.

Masked ranks leave out the items the user has already met, except the target itself: a repeated item is a fair target
(the user did come back to it), and leaving it out would turn the question into one without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """0-based ranks of the targets among all items, (B,) int64 each."""

    masked: Tensor  # the user's seen items left out
    unmasked: Tensor  # nothing left out


@torch.no_grad()
def ranks(scores: Tensor, target: Tensor, seen: Tensor) -> Ranks:
    """Ranks of `target` (B,) under `scores` (B, N), column j being item j+1; `seen` (B, S) item ids padded with 0.

    An item may stand in `seen` more than once; it is left out once.
    """
    _check(scores, target, seen)
    own = target[:, None] - 1
    ahead = torch.empty_like(scores, dtype=torch.float32)
    torch.ge(scores, scores.gather(1, own), out=ahead)
    ahead.scatter_(1, own, 0.0)
    unmasked = _count(ahead)
    ahead.scatter_(1, torch.where(seen > 0, seen - 1, own), 0.0)  # padding falls on the target, which is out already
    return Ranks(masked=_count(ahead), unmasked=unmasked)


def _count(ahead: Tensor) -> Tensor:
    """How many of each row are 1 and not 0, (B,) int64; fp32 adds ones exactly up to 2^24 of them, fp64 beyond."""
    exact = torch.float32 if ahead.shape[1] <= 2**24 else torch.float64
    return ahead.sum(dim=1, dtype=exact).long()


def _check(scores: Tensor, target: Tensor, seen: Tensor) -> None:
    rows, num_items = scores.shape
    if target.shape != (rows,) or seen.ndim != 2 or len(seen) != rows:
        shapes = f"scores {tuple(scores.shape)}, target {tuple(target.shape)}, seen {tuple(seen.shape)}"
        raise ValueError(f"expected scores (B, N), target (B,), seen (B, S), got {shapes}")
    if rows and (int(target.min()) < 1 or int(target.max()) > num_items):
        raise ValueError(f"targets must be items 1..{num_items}, got {int(target.min())}..{int(target.max())}")
    # A sum with a NaN is NaN: one fast pass in the usual case. So is one of both infinities, hence the second look.
    if scores.sum().isnan() and (nan := int(scores.isnan().sum())):
        raise ValueError(f"{nan} of {scores.numel()} scores are NaN: a NaN compares with nothing and would rank first")
