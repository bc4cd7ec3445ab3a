"""Head and tail: who is popular and who is active, by training counts alone.

Items: the ceil(share N) items with the most training rows are head; of equals the smaller index; an item that never
trains is tail in any case. Users: of those with a test case, the ceil(share C) with the longest histories are head,
likewise of those with a validation case; of equals the smaller index. A user's history is their training rows, or, for
a user unseen in training, the rows before their last target.

LLM-ESR's own groups, for its own tables: fixed thresholds (items / users: Yelp 13 / 12, Fashion 4 / 3, Beauty 4 / 9);
an item is tail below a count over train, valid and test together, a user below a count of train and valid rows.
"""

from __future__ import annotations

import math

import numpy as np

from pte.protocol.facts import used_rows
from pte.schema import Cases, Interactions, Split


def item_groups(interactions: Interactions, split: Split, share: float = 0.2) -> np.ndarray:
    """(N+1,) bool: is the item head? Entry 0 (padding) is False."""
    count = np.bincount(interactions.item[split.train], minlength=interactions.num_items + 1)
    head = _top(count[1:], share) & (count[1:] > 0)
    return np.concatenate([[False], head])


def user_groups(interactions: Interactions, split: Split, share: float = 0.2) -> np.ndarray:
    """(U,) bool: is the user head? False for users without a case."""
    length = history_length(interactions, split)
    head = np.zeros(interactions.num_users, bool)
    for part in (split.valid, split.test):
        users = np.unique(part.user)
        head[users] = _top(length[users], share)
    return head


def history_length(interactions: Interactions, split: Split) -> np.ndarray:
    """(U,) training rows of each user; of users without any, the rows before their last target."""
    length = np.bincount(interactions.user[split.train], minlength=interactions.num_users)
    unseen = np.maximum(_longest(interactions, split.valid), _longest(interactions, split.test))
    return np.where(length > 0, length, unseen)


def llm_esr_item_groups(interactions: Interactions, split: Split, threshold: int) -> np.ndarray:
    """(N+1,) bool head: at least `threshold` rows in train, valid and test together."""
    rows = used_rows(interactions, split)
    count = np.bincount(interactions.item[rows], minlength=interactions.num_items + 1)
    return (count >= threshold) & (np.arange(len(count)) > 0)


def llm_esr_user_groups(interactions: Interactions, split: Split, threshold: int) -> np.ndarray:
    """(U,) bool head: at least `threshold` rows before the user's last target; False for users without a case."""
    length = np.maximum(_longest(interactions, split.valid), _longest(interactions, split.test))
    head: np.ndarray = length >= max(threshold, 1)
    return head


def _longest(interactions: Interactions, part: Cases) -> np.ndarray:
    """(U,) rows of history before a user's last target, 0 for users without a case."""
    length = np.zeros(interactions.num_users, np.int64)
    np.maximum.at(length, part.user, part.target - part.history_begin(interactions))
    return length


def _top(count: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the ceil(share n) largest; of equals the first."""
    many = math.ceil(round(share * len(count), 9))
    head = np.zeros(len(count), bool)
    head[np.argsort(-count, kind="stable")[:many]] = True
    return head
