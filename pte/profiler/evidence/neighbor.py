"""Who and what is alike in behaviour, counted from visible rows alone.

Items: shifted positive pointwise mutual information of pairs within a window (Levy & Goldberg, NeurIPS 2014, Eq. 10
and 11), with contexts smoothed by a power (Levy, Goldberg & Dagan, TACL 2015) and rare pairs discounted by
c / (c + shrink), since PMI overrates pairs seen once. Users: cosine of their 0/1 rows. Ties go to the smaller index, so
nothing is left to chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from pte.schema import View

BLOCK = 2_000_000  # pairs in memory at a time: some 100 MB


@dataclass(frozen=True)
class Neighbors:
    """The k nearest of each of n rows, best first; 0 or -1 (see `none`) where there are fewer."""

    index: np.ndarray  # (n, k) int32
    weight: np.ndarray  # (n, k) float32, 0 where there is none
    none: int

    def of(self, row: int) -> list[int]:
        """The neighbours of one row, best first."""
        return [int(i) for i in self.index[row] if i != self.none]


def offsets(window: int, ahead: bool) -> list[int]:
    """Places of what stands within `window` of a row: on both sides, or after it only."""
    return [*range(1, window + 1), *([] if ahead else range(-window, 0))]


def pair_counts(
    view: View, *, window: int, ahead: bool = False, behind: bool = False, items: range | None = None
) -> sparse.csr_matrix:
    """(n, N+1) how often two items stand within `window` places of one user's rows, of the n `items` or of all.

    Symmetric; with `ahead` entry (a, b) counts b after a only, with `behind` b before a. An item beside itself counts
    nothing.
    """
    items = items or range(view.num_items + 1)
    place = np.flatnonzero((view.item >= items.start) & (view.item < items.stop))
    rows, columns = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for gap in offsets(window, ahead or behind):
        other = place + (-gap if behind else gap)
        inside = (other >= 0) & (other < len(view.item))
        first, other = place[inside], other[inside]
        pair = (view.user[first] == view.user[other]) & (view.item[first] != view.item[other])
        rows.append(view.item[first[pair]] - items.start)
        columns.append(view.item[other[pair]])
    row, column = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(len(items), view.num_items + 1))


def pair_sums(view: View, *, window: int, ahead: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Sums (N+1,) of the rows and of the columns of `pair_counts`, no pair kept."""
    sums = np.zeros((2, view.num_items + 1))
    for gap in offsets(window, ahead=True):
        first, second = view.item[:-gap], view.item[gap:]
        pair = (view.user[:-gap] == view.user[gap:]) & (first != second)
        sums += [np.bincount(side[pair], minlength=view.num_items + 1) for side in (first, second)]
    row, column = sums if ahead else (sums.sum(0), sums.sum(0))
    return row.astype(np.float32), column.astype(np.float32)


def shifted_ppmi(
    counts: sparse.csr_matrix,
    *,
    negatives: float,
    smoothing: float,
    shrink: float,
    sums: tuple[np.ndarray, np.ndarray] | None = None,
) -> sparse.csr_matrix:
    """max(PMI(a, b) - log negatives, 0) * c / (c + shrink) of each pair counted.

    PMI(a, b) = log( c(a, b) * sum_b' c(b')^s / ( c(a) * c(b)^s ) )

    sums: c(a) of the rows of `counts` and c(b) of its columns, where it is part of a larger matrix.
    """
    pairs = counts.tocoo()
    c = pairs.data.astype(np.float64)
    row, column = sums or (np.asarray(counts.sum(1)).ravel(), np.asarray(counts.sum(0)).ravel())
    context = column**smoothing
    pmi = np.log(c * context.sum() / (row[pairs.row] * context[pairs.col]))
    value = np.maximum(pmi - np.log(negatives), 0.0) * c / (c + shrink)
    keep = value > 0
    return sparse.csr_matrix((value[keep], (pairs.row[keep], pairs.col[keep])), shape=counts.shape)


def blocks(work: np.ndarray, most: int) -> list[range]:
    """Consecutive rows whose work (n,) adds up to hardly more than `most`; one row at least."""
    part = (np.cumsum(work) - work) // most
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(work)]
    return [range(a, b) for a, b in pairwise(edges) if b > a]


def joined(parts: list[Neighbors], k: int, none: int) -> Neighbors:
    """The rows of all parts, one after another."""
    empty = Neighbors(np.zeros((0, k), np.int32), np.zeros((0, k), np.float32), none)
    index, weight = (np.concatenate([getattr(p, name) for p in [empty, *parts]]) for name in ("index", "weight"))
    return Neighbors(index, weight, none)


def top(matrix: sparse.csr_matrix, k: int, *, none: int) -> Neighbors:
    """The k largest entries of each row, best first, ties by smaller column."""
    entries = matrix.tocoo()
    order = np.lexsort((entries.col, -entries.data, entries.row))
    row, column, data = entries.row[order], entries.col[order], entries.data[order]
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=matrix.shape[0]))])
    place = np.arange(len(row)) - start[row]
    within = place < k
    index = np.full((matrix.shape[0], k), none, np.int32)
    weight = np.zeros((matrix.shape[0], k), np.float32)
    index[row[within], place[within]], weight[row[within], place[within]] = column[within], data[within]
    return Neighbors(index, weight, none)


def item_neighbors(
    view: View,
    k: int,
    *,
    window: int = 5,
    negatives: float = 1.0,
    smoothing: float = 0.75,
    shrink: float = 2.0,
    direction: str = "",
    most: int = BLOCK,
) -> Neighbors:
    """The k items most often chosen near each item, beyond what their popularity explains; (N+1, k), none = 0.

    direction: ahead or behind, for what is chosen after or before it alone. The pairs of a block of items, some
    `most`, are in memory at a time.
    """
    sides = {"ahead": direction == "ahead", "behind": direction == "behind"}
    row, column = pair_sums(view, window=window, ahead=bool(direction))
    if direction == "behind":
        row, column = column, row
    work = np.bincount(view.item, minlength=view.num_items + 1) * len(offsets(window, bool(direction)))
    parts = []
    for items in blocks(work, most):
        counts = pair_counts(view, window=window, items=items, **sides)
        sums = row[items.start : items.stop], column
        value = shifted_ppmi(counts, negatives=negatives, smoothing=smoothing, shrink=shrink, sums=sums)
        parts.append(top(value, k, none=0))
    return joined(parts, k, 0)


def next_items(view: View, k: int, *, window: int = 2) -> tuple[Neighbors, Neighbors]:
    """What is chosen soon before and soon after each item, by the same measure; each (N+1, k), none = 0."""
    before, after = (item_neighbors(view, k, window=window, direction=side) for side in ("behind", "ahead"))
    return before, after


def incidence(view: View) -> sparse.csr_matrix:
    """(U, N+1) 1 where a user has a visible row of the item, however often."""
    shape = (view.num_users, view.num_items + 1)
    matrix = sparse.csr_matrix((np.ones(len(view.user), np.float32), (view.user, view.item)), shape=shape)
    matrix.data[:] = 1.0  # repeated pairs were summed
    return matrix


def own_incidence(view: View) -> sparse.csr_matrix:
    """(U, N+1) 1 where a user's own text may state the item: `incidence`, and rows of users without training rows."""
    return incidence(view) if view.prefix is None else incidence(view) + incidence(view.prefix)


def user_neighbors(view: View, k: int, *, most: int = 1000, products: int = BLOCK) -> Neighbors:
    """The k users of most similar choices, cos(x_u, x_v) of 0/1 rows, oneself left out; (U, k), none = -1.

    An item that more than `most` users chose counts in the lengths alone, not in the overlap: it says little of
    likeness, and the work would grow with the square of its users. A user without training rows has neighbours and is
    nobody's neighbour. `products` of pairs are in memory at a time.
    """
    x, visible = own_incidence(view), incidence(view)
    norm = np.sqrt(np.asarray(x.sum(1)).ravel())
    popularity = np.asarray(visible.sum(0)).ravel()
    scale = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0).astype(np.float32)
    x.data = np.repeat(scale, np.diff(x.indptr))  # rows of unit length
    shared = x[:, popularity <= most]
    others = sparse.diags((np.diff(view.start) > 0).astype(np.float32)) @ shared
    others.eliminate_zeros()
    by_item = others.T.tocsr()
    per_entry = np.diff(by_item.indptr)[shared.indices]
    work = np.bincount(np.repeat(np.arange(view.num_users), np.diff(shared.indptr)), per_entry, view.num_users)
    parts = []
    for users in blocks(work, products):
        block = (shared[users.start : users.stop] @ by_item).tocoo()
        other = block.row + users.start != block.col
        value = np.round(block.data[other].astype(np.float64), 6)  # equal overlaps stay equal in floating point
        parts.append(
            top(sparse.csr_matrix((value, (block.row[other], block.col[other])), shape=block.shape), k, none=-1)
        )
    return joined(parts, k, -1)


def rows_by_item(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users by item: start (N+2,), user (V,), from_end (V,): how many rows the user still made after this one.

    The users of item i are user[start[i]:start[i+1]], those who chose it most recently in their own history first.
    """
    from_end = view.start[view.user + 1] - 1 - np.arange(len(view.user))
    order = np.lexsort((view.user, from_end, view.item))
    start = np.concatenate([[0], np.cumsum(np.bincount(view.item, minlength=view.num_items + 1))]).astype(np.int64)
    return start, view.user[order], from_end[order]
