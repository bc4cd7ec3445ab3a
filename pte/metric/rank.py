"""Where the held-out target stands in a full ranking. The tie rule lives here, once.

rank = #{j != target : s_j >= s_target}: 0-based and pessimistic, so that a scorer which gives equal scores to many
items is never flattered; a constant scorer puts every target last. Items are counted: no sort, no top-k.

Masked ranks leave out the items the user has already met, except the target itself: a repeated item is a fair target
(the user did come back to it), and leaving it out would turn the question into one without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_GROUP = 8 * 128  # flags that are added up in one word


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
    target = target[:, None]
    # Column 0 is padding: it stays False, so that the 0s in `seen` fall on it and it can never outrank anything. So do
    # the columns behind the last item, which fill the last word group of `_count`.
    columns = -(-(scores.shape[1] + 1) // _GROUP) * _GROUP
    ahead = scores.new_zeros(len(scores), columns, dtype=torch.bool)
    torch.ge(scores, scores.gather(1, target - 1), out=ahead[:, 1 : scores.shape[1] + 1])
    ahead.scatter_(1, target, False)
    unmasked = _count(ahead)
    ahead.scatter_(1, seen, False)
    return Ranks(masked=_count(ahead), unmasked=unmasked)


def _count(flags: Tensor) -> Tensor:
    """How many of each row are True, (B,) int64; the width is a multiple of `_GROUP`.

    Eight flags are added at a time, as the bytes of one word. 128 words cannot carry from one byte into the next.
    """
    words = flags.view(torch.int64).unflatten(1, (-1, _GROUP // 8)).sum(dim=2)
    return words.view(torch.uint8).sum(dim=1, dtype=torch.int32).long()


def _check(scores: Tensor, target: Tensor, seen: Tensor) -> None:
    rows, num_items = scores.shape
    if target.shape != (rows,) or seen.ndim != 2 or len(seen) != rows:
        shapes = f"scores {tuple(scores.shape)}, target {tuple(target.shape)}, seen {tuple(seen.shape)}"
        raise ValueError(f"expected scores (B, N), target (B,), seen (B, S), got {shapes}")
    if rows and (int(target.min()) < 1 or int(target.max()) > num_items):
        raise ValueError(f"targets must be items 1..{num_items}, got {int(target.min())}..{int(target.max())}")
    if scores.amax(dim=1).isnan().any():  # the maximum of a row with a NaN is NaN: one fast pass in the usual case
        nan = int(scores.isnan().sum())
        raise ValueError(f"{nan} of {scores.numel()} scores are NaN: a NaN compares with nothing and would rank first")
