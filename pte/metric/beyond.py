"""Beyond accuracy: what lists of recommendations are like, whatever was bought next. Pure functions of (B, k) lists.

All lists hold item ids 1..N, best first, none twice in a list; a list of another kind raises ValueError.
"""

from __future__ import annotations

import numpy as np


def exposure(lists: np.ndarray, num_items: int) -> np.ndarray:
    """How many lists hold each item, (N,) int64, of items 1..N."""
    if lists.ndim != 2 or not lists.size:
        raise ValueError(f"expected lists (B, k) with B, k >= 1, got shape {lists.shape}")
    if lists.min() < 1 or lists.max() > num_items:
        raise ValueError(f"lists must hold items 1..{num_items}, got {lists.min()}..{lists.max()}")
    ordered = np.sort(lists, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError("a list holds an item twice")
    return np.bincount(lists.ravel(), minlength=num_items + 1)[1:]


def coverage(lists: np.ndarray, num_items: int) -> float:
    """Share of the catalogue that stands in at least one list (Herlocker et al., TOIS 2004): 0..1."""
    return float((exposure(lists, num_items) > 0).mean())


def gini(lists: np.ndarray, num_items: int) -> float:
    """Gini index of exposure, 0 where all items stand in equally many lists, (N - 1) / N where one has all.

    sum_j (2 j - N - 1) x_j / (N sum x), x ascending, j from 1; items in no list count as zeros.
    """
    count = np.sort(exposure(lists, num_items)).astype(np.float64)
    place = np.arange(1, num_items + 1)
    return float(((2 * place - num_items - 1) * count).sum() / (num_items * count.sum()))


def average_popularity(lists: np.ndarray, popularity: np.ndarray) -> float:
    """Mean training count of what is recommended (ARP; Yin et al., VLDB 2012). popularity: (N,), of items 1..N."""
    exposure(lists, len(popularity))
    return float(popularity[lists - 1].mean())


def popularity_lift(lists: np.ndarray, histories: list[np.ndarray], popularity: np.ndarray) -> float:
    """(ARP of the lists - that of the users' own histories) / the latter (Abdollahpouri et al., 2020).

    0 = calibrated in popularity, above 0 more popular than what users take. histories: B arrays of item ids; each
    user counts once, whatever the length. An empty history raises ValueError.
    """
    if len(histories) != len(lists) or not all(len(h) for h in histories):
        raise ValueError(f"{len(lists)} lists need as many histories, none of them empty; got {len(histories)}")
    own = float(np.mean([popularity[h - 1].mean() for h in histories]))
    if own == 0:
        raise ValueError("no item of any history was bought in training, so there is no popularity to compare with")
    return average_popularity(lists, popularity) / own - 1


def diversity_by_vector(lists: np.ndarray, vectors: np.ndarray) -> float:
    """Mean over lists of 1 - cosine over all pairs of a list (Ziegler et al., WWW 2005): 0 alike, 1 unrelated.

    vectors: (N, d), of items 1..N. k = 1, or a zero vector, raises ValueError.
    """
    exposure(lists, len(vectors))
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    if (size[lists - 1] == 0).any():
        raise ValueError("a recommended item has a vector of zeros, which has no cosine")
    unit = vectors / np.where(size == 0, 1, size)
    total = np.zeros((len(lists), vectors.shape[1]))
    for column in lists.T:  # k passes: no (B, k, d) array
        total += unit[column - 1]
    k = lists.shape[1]
    return float(1 - ((np.square(total).sum(axis=1) - k) / _pairs(k)).mean())


def diversity_by_category(lists: np.ndarray, categories: np.ndarray) -> float:
    """Mean over lists of 1 - Jaccard over all pairs of a list, of category sets (N, C) bool of items 1..N.

    Two items without any category are alike. k = 1 raises ValueError.
    """
    exposure(lists, len(categories))
    k, distance = lists.shape[1], 0.0
    pairs = _pairs(k)
    for a in range(k):
        for b in range(a):
            one, other = categories[lists[:, a] - 1], categories[lists[:, b] - 1]
            union = (one | other).sum(axis=1)
            shared = np.where(union == 0, 1.0, (one & other).sum(axis=1) / np.maximum(union, 1))
            distance += 2 * (1 - shared).sum()
    return float(distance / (pairs * len(lists)))


def _pairs(k: int) -> int:
    """Ordered pairs of a list of k."""
    if k < 2:
        raise ValueError("the diversity of a list needs two items or more")
    return k * (k - 1)


def calibration(
    lists: np.ndarray, histories: list[np.ndarray], categories: np.ndarray, smoothing: float = 0.01
) -> float:
    """Mean over users of KL(p || q~) of category shares, 0 = calibrated (Steck, RecSys 2018, Eq. 4 to 6), in nats.

    p: of the history, q: of the list, q~ = (1 - smoothing) q + smoothing p; an item shares 1 among its categories.
    categories: (N, C) bool. Users whose history or list has no category at all are left out; none left: ValueError.
    """
    exposure(lists, len(categories))
    if len(histories) != len(lists):
        raise ValueError(f"{len(lists)} lists need as many histories, got {len(histories)}")
    share = categories / np.maximum(categories.sum(axis=1, keepdims=True), 1)
    divergences = []
    for history, recommended in zip(histories, lists, strict=True):
        p, q = share[history - 1].sum(axis=0), share[recommended - 1].sum(axis=0)
        if p.sum() == 0 or q.sum() == 0:
            continue
        p, q = p / p.sum(), q / q.sum()
        support = p > 0
        smooth = (1 - smoothing) * q[support] + smoothing * p[support]
        divergences.append((p[support] * np.log(p[support] / smooth)).sum())
    if not divergences:
        raise ValueError("no user has categories both in the history and in the list")
    return float(np.mean(divergences))
