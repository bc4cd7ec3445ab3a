"""Who and what is alike in behaviour, counted from visible rows alone.

Items: shifted positive pointwise mutual information of pairs within a window (Levy & Goldberg, NeurIPS 2014, Eq. 10
and 11), with contexts smoothed by a power (Levy, Goldberg & Dagan, TACL 2015) and rare pairs discounted by
c / (c + shrink), since PMI overrates pairs seen once. Users: cosine of their 0/1 rows. Ties go to the smaller index, so
nothing is left to chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pte.schema import View


@dataclass(frozen=True)
class Neighbors:
    """The k nearest of each of n rows, best first; 0 or -1 (see `none`) where there are fewer."""

    index: np.ndarray  # (n, k) int32
    weight: np.ndarray  # (n, k) float32, 0 where there is none
    none: int

    def of(self, row: int) -> list[int]:
        """The neighbours of one row, best first."""
        return [int(i) for i in self.index[row] if i != self.none]


def pair_counts(view: View, *, window: int, ahead: bool = False) -> sparse.csr_matrix:
    """(N+1, N+1) how often two items stand within `window` places of one user's rows.

    Symmetric; with `ahead` entry (a, b) counts b after a only. An item beside itself counts nothing.
    """
    size = view.num_items + 1
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    for gap in range(1, window + 1):
        first, second = view.item[:-gap], view.item[gap:]
        same = (view.user[:-gap] == view.user[gap:]) & (first != second)
        ones = np.ones(int(same.sum()), np.float32)
        total = total + sparse.csr_matrix((ones, (first[same], second[same])), shape=(size, size))
    return total if ahead else (total + total.T).tocsr()


def shifted_ppmi(counts: sparse.csr_matrix, *, negatives: float, smoothing: float, shrink: float) -> sparse.csr_matrix:
    """max(PMI(a, b) - log negatives, 0) * c / (c + shrink) of each pair counted, (N+1, N+1).

    PMI(a, b) = log( c(a, b) * sum_b' c(b')^s / ( c(a) * c(b)^s ) )
    """
    pairs = counts.tocoo()
    c = pairs.data.astype(np.float64)
    row, column = np.asarray(counts.sum(1)).ravel(), np.asarray(counts.sum(0)).ravel()
    context = column**smoothing
    pmi = np.log(c * context.sum() / (row[pairs.row] * context[pairs.col]))
    value = np.maximum(pmi - np.log(negatives), 0.0) * c / (c + shrink)
    keep = value > 0
    return sparse.csr_matrix((value[keep], (pairs.row[keep], pairs.col[keep])), shape=counts.shape)


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
    view: View, k: int, *, window: int = 5, negatives: float = 1.0, smoothing: float = 0.75, shrink: float = 2.0
) -> Neighbors:
    """The k items most often chosen near each item, beyond what their popularity explains; (N+1, k), none = 0."""
    counts = pair_counts(view, window=window)
    return top(shifted_ppmi(counts, negatives=negatives, smoothing=smoothing, shrink=shrink), k, none=0)


def next_items(view: View, k: int, *, window: int = 2) -> tuple[Neighbors, Neighbors]:
    """What is chosen soon before and soon after each item, by the same measure; each (N+1, k), none = 0."""
    after = pair_counts(view, window=window, ahead=True)
    before, after = (
        top(shifted_ppmi(c.tocsr(), negatives=1.0, smoothing=0.75, shrink=2.0), k, none=0) for c in (after.T, after)
    )
    return before, after


def incidence(view: View) -> sparse.csr_matrix:
    """(U, N+1) 1 where a user has a visible row of the item, however often."""
    shape = (view.num_users, view.num_items + 1)
    matrix = sparse.csr_matrix((np.ones(len(view.user), np.float32), (view.user, view.item)), shape=shape)
    matrix.data[:] = 1.0  # repeated pairs were summed
    return matrix


def own_incidence(view: View) -> sparse.csr_matrix:
    """(U, N+1) 1 where a user's own text may state the item: `incidence`, and people who train nothing."""
    return incidence(view) if view.prefix is None else incidence(view) + incidence(view.prefix)


def user_neighbors(view: View, k: int, *, chunk: int = 2048, most: int = 1000) -> Neighbors:
    """The k users of most similar choices, cos(x_u, x_v) of 0/1 rows, oneself left out; (U, k), none = -1.

    An item that more than `most` people chose counts in the lengths alone, not in the overlap: it says little of
    likeness, and the work would grow with the square of its people. Who trains nothing has neighbours and is none.
    """
    x, visible = own_incidence(view), incidence(view)
    norm = np.sqrt(np.asarray(x.sum(1)).ravel())
    unit = sparse.diags(np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)) @ x
    unit = unit.tocsr()
    shared = unit[:, np.asarray(visible.sum(0)).ravel() <= most]
    others = sparse.diags((np.diff(view.start) > 0).astype(np.float32)) @ shared
    parts = []
    for first in range(0, view.num_users, chunk):
        block = (shared[first : first + chunk] @ others.T).tocoo()
        other = block.row + first != block.col
        value = np.round(block.data[other].astype(np.float64), 6)  # equal overlaps stay equal in floating point
        parts.append(
            top(sparse.csr_matrix((value, (block.row[other], block.col[other])), shape=block.shape), k, none=-1)
        )
    if not parts:
        return Neighbors(np.zeros((0, k), np.int32), np.zeros((0, k), np.float32), -1)
    return Neighbors(np.concatenate([p.index for p in parts]), np.concatenate([p.weight for p in parts]), -1)


def rows_by_item(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users by item: start (N+2,), user (V,), from_end (V,): how many rows the user still made after this one.

    The users of item i are user[start[i]:start[i+1]], those who chose it most recently in their own history first.
    """
    from_end = view.start[view.user + 1] - 1 - np.arange(len(view.user))
    order = np.lexsort((view.user, from_end, view.item))
    start = np.concatenate([[0], np.cumsum(np.bincount(view.item, minlength=view.num_items + 1))]).astype(np.int64)
    return start, view.user[order], from_end[order]
