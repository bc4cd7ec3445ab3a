"""Look-alikes: the hard half of a reward's negatives, near in text or near in behaviour."""

from __future__ import annotations

import torch
from torch import Tensor

from pte.reward.contrast import NONE


def nearest(
    centroid: Tensor, k: int, *, rows: slice, sample: int, generator: torch.Generator, chunk: int = 2048
) -> Tensor:
    """(m, k) for each of m rows of `centroid` (E, d) the rows of its k nearest among `sample` of them, best first.

    The cost is linear in m, since rows are compared with a sample. Rows of zeros have no neighbours and are none.
    """
    table = centroid[rows]
    nonzero_rows = torch.nonzero(table.any(dim=1)).squeeze(1)
    sampled = nonzero_rows[torch.randperm(len(nonzero_rows), generator=generator).to(nonzero_rows.device)[:sample]]
    neighbors = table.new_full((len(table), k), NONE, dtype=torch.int64)
    width = min(k, len(sampled))
    if width:
        others = table[sampled]
        for part in nonzero_rows.split(chunk):
            similarity = (table[part] @ others.T).masked_fill(part[:, None] == sampled, -torch.inf)
            value, place = similarity.topk(width, dim=1)
            neighbors[part, :width] = (sampled[place] + rows.start).masked_fill(value == -torch.inf, NONE)
    return neighbors


def cooccurring(user: Tensor, item: Tensor, rows: slice, k: int, *, window: int) -> Tensor:
    """(N, k) items most often found within `window` places of an item in a user's rows, best first, else NONE.

    The count is divided by the root of both items' counts, so that popular items are not everyone's neighbour.
    user, item: (R,) sorted by user, oldest first; items are numbered by their rows, N of them.
    """
    size, item = rows.stop - rows.start, item - rows.start
    pairs = [item.new_zeros(0)]
    for gap in range(1, window + 1):
        a, b = item[:-gap], item[gap:]
        together = (user[:-gap] == user[gap:]) & (a != b)
        a, b = a[together], b[together]
        pairs += [a * size + b, b * size + a]
    code, count = torch.cat(pairs).unique(return_counts=True)
    a, b = code // size, code % size
    popularity = torch.bincount(item, minlength=size).clamp(min=1).double()
    strength = count / (popularity[a] * popularity[b]).sqrt()
    order = (-strength).argsort(stable=True)
    order = order[a[order].argsort(stable=True)]  # by item, then by strength
    a, b = a[order], b[order]
    place = torch.arange(len(a), device=a.device) - torch.searchsorted(a, a)  # place within the item's run
    neighbors = item.new_full((size, k), NONE)
    keep = place < k
    neighbors[a[keep], place[keep]] = b[keep] + rows.start
    return neighbors
