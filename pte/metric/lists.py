"""The best k items of each case, and what such lists are like together: the figures of `beyond` by name.

Lists leave out what the history holds, as masked ranks do. A case with fewer than k items left has no list of k: zeros
stand in its row, and it has no part in the figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pte.metric import beyond

K = 10
CATEGORY_COLUMNS = ("categories", "genres", "category", "genre")  # text columns that say what kind an item is
CATEGORIES = 200  # the most frequent ones count: rarer ones say little and cost as much


@torch.no_grad()
def best_items(scores: Tensor, exclusion: Tensor, k: int = K) -> Tensor:
    """(B, k) int64 items 1..N, best first, none of `exclusion` (B, S; padded with 0); 0s where fewer than k are left.

    scores: (B, N), column j being item j+1. Of equal scores the smaller number comes first.
    """
    free = torch.cat([scores.new_empty(len(scores), 1), scores], dim=1).scatter(1, exclusion, -torch.inf)[:, 1:]
    items = free.shape[1]
    if k > items:
        return torch.zeros(len(scores), k, dtype=torch.int64, device=scores.device)
    least = free.topk(k, dim=1).values[:, -1:]
    # topk orders ties as it likes. In the list are those above the least, then as many of its equals as there is room.
    number = torch.arange(items, 0, -1, device=free.device)
    member = ((free >= least) * number + (free > least) * items).topk(k, dim=1).indices.sort(dim=1).values
    order = free.gather(1, member).sort(dim=1, descending=True, stable=True).indices
    return (member.gather(1, order) + 1).masked_fill(least == -torch.inf, 0)


def category_table(text: Mapping[str, Sequence[str]]) -> np.ndarray | None:
    """(N, C) bool, of items 1..N: which of the most frequent categories each has. None where no column has any.

    "Toys > Games | Toys > Cards" is {Toys, Games, Cards}, "Drama, War" {Drama, War}; a column has one of the two forms.
    """
    column = next((text[name] for name in CATEGORY_COLUMNS if any(text.get(name, ()))), None)
    if column is None:
        return None
    listed = category_words(column[1:])
    common = Counter(word for words in listed for word in sorted(set(words))).most_common(CATEGORIES)
    place = {word: number for number, (word, _) in enumerate(common)}
    table = np.zeros((len(listed), len(place)), bool)
    for row, words in enumerate(listed):
        table[row, [place[word] for word in words if word in place]] = True
    return table


def category_words(column: Sequence[str]) -> list[list[str]]:
    """Of every entry its categories as they are listed; paths are taken apart where any entry of the column is one."""
    paths = any(" > " in entry or " | " in entry for entry in column)
    return [
        [
            word.strip()
            for word in (entry.replace(" | ", " > ").split(" > ") if paths else entry.split(","))
            if word.strip()
        ]
        for entry in column
    ]


def summarise_lists(
    lists: np.ndarray,
    histories: Sequence[np.ndarray],
    popularity: np.ndarray,
    *,
    vectors: np.ndarray | None = None,
    categories: np.ndarray | None = None,
) -> dict[str, float]:
    """{"masked/all/Coverage@10": ..., Gini, AveragePopularity, PopularityLift, and where known the rest}.

    lists: (C, k); histories: C arrays of items, none empty; popularity: (N,) training counts. VectorDiversity needs
    vectors (N, d), CategoryDiversity and CategoryCalibration categories (N, C). {} where no case has a list of k.
    """
    full = lists.min(axis=1) > 0
    if not full.any():
        return {}
    lists, histories = lists[full], [h for h, complete in zip(histories, full, strict=True) if complete]
    items, k = len(popularity), lists.shape[1]
    figures = {
        "Coverage": beyond.coverage(lists, items),
        "Gini": beyond.gini(lists, items),
        "AveragePopularity": beyond.average_popularity(lists, popularity),
    }
    if any(popularity[h - 1].any() for h in histories):
        figures["PopularityLift"] = beyond.popularity_lift(lists, histories, popularity)
    if vectors is not None and np.linalg.norm(vectors[lists - 1], axis=2).all():
        figures["VectorDiversity"] = beyond.diversity_by_vector(lists, vectors)
    if categories is not None and categories.any():
        figures["CategoryDiversity"] = beyond.diversity_by_category(lists, categories)
        labelled = np.asarray(categories.any(axis=1))
        if any(labelled[h - 1].any() and labelled[r - 1].any() for h, r in zip(histories, lists, strict=True)):
            figures["CategoryCalibration"] = beyond.calibration(lists, list(histories), categories)
    return {f"masked/all/{name}@{k}": value for name, value in figures.items()}
