"""Look-alikes: the hard half of a reward's negatives, near in text or near in behaviour."""

from __future__ import annotations

import torch
from torch import Tensor

from pte.reward.contrast import NONE


def nearest(table: Tensor, k: int, *, sample: int, generator: torch.Generator, chunk: int = 2048) -> Tensor:
    """(m, k) for every unit row of `table` (m, d) its k nearest others among `sample` rows drawn at random, best first.

    The cost is linear in m, since nobody is compared with everybody. Rows of zeros have no neighbours and are none.
    """
    nonzero_rows = torch.nonzero(table.any(dim=1)).squeeze(1)
    sampled = nonzero_rows[torch.randperm(len(nonzero_rows), generator=generator).to(nonzero_rows.device)[:sample]]
    neighbors = table.new_full((len(table), k), NONE, dtype=torch.int64)
    width = min(k, len(sampled))
    if width:
        others = table[sampled]
        for rows in nonzero_rows.split(chunk):
            similarity = (table[rows] @ others.T).masked_fill(rows[:, None] == sampled, -torch.inf)
            value, place = similarity.topk(width, dim=1)
            neighbors[rows, :width] = sampled[place].masked_fill(value == -torch.inf, NONE)
    return neighbors


def cooccurring(user: Tensor, item: Tensor, num_items: int, k: int, *, window: int) -> Tensor:
    """(N+1, k) items most often found within `window` places of an item in a user's rows, best first, else NONE.

    The count is divided by the root of both items' counts, so that popular items are not everyone's neighbour.
    user, item: (R,) rows sorted by user, oldest first.
    """
    pairs = [item.new_zeros(0)]
    for gap in range(1, window + 1):
        a, b = item[:-gap], item[gap:]
        together = (user[:-gap] == user[gap:]) & (a != b)
        a, b = a[together], b[together]
        pairs += [a * (num_items + 1) + b, b * (num_items + 1) + a]
    code, count = torch.cat(pairs).unique(return_counts=True)
    a, b = code // (num_items + 1), code % (num_items + 1)
    popularity = torch.bincount(item, minlength=num_items + 1).clamp(min=1).double()
    strength = count / (popularity[a] * popularity[b]).sqrt()
    order = (-strength).argsort(stable=True)
    order = order[a[order].argsort(stable=True)]  # by item, then by strength
    a, b = a[order], b[order]
    place = torch.arange(len(a), device=a.device) - torch.searchsorted(a, a)  # place within the item's run
    neighbors = item.new_full((num_items + 1, k), NONE)
    keep = place < k
    neighbors[a[keep], place[keep]] = b[keep]
    return neighbors
