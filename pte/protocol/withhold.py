"""Withhold a few training rows from the prompts, so that the reward has behaviour the prompt did not show.

Of a user with n train rows, w = min(withhold, n - min_visible) rows (none if that is negative) are drawn uniformly,
with two exceptions: the user's first row is never withheld (a prompt never starts from nothing), and a pair the user
repeats in training is never withheld (its other row would show the prompt what it must not know).
"""

from __future__ import annotations

import numpy as np

from pte.schema import Interactions, require


def check_knobs(withhold: int, min_visible: int) -> None:
    """Refuse numbers that cannot be, before there are data."""
    require(withhold >= 0, "protocol.withhold", withhold, "give a whole number, 0 or more")
    require(min_visible >= 1, "protocol.min_visible", min_visible, "give a whole number, 1 or more")


def visible_rows(
    interactions: Interactions, train: np.ndarray, *, withhold: int, min_visible: int, seed: int
) -> np.ndarray:
    """(M,) bool: the train rows that prompts may show; at least min(n, min_visible) of each user's n."""
    check_knobs(withhold, min_visible)
    rows = np.flatnonzero(train)  # (R,), sorted by user, oldest first
    user = interactions.user[rows]
    count = np.bincount(user, minlength=interactions.num_users)
    quota = np.clip(count - min_visible, 0, withhold)  # (U,)

    first = np.ones(len(rows), bool)
    first[1:] = user[1:] != user[:-1]
    pair = user.astype(np.int64) * (interactions.num_items + 1) + interactions.item[rows]
    _, where, times = np.unique(pair, return_inverse=True, return_counts=True)
    free = ~first & (times[where] == 1)

    draw = np.random.default_rng(seed).random(len(rows))
    order = np.lexsort((draw, ~free, user))  # by user, then the free rows in random order
    begin = np.concatenate([[0], np.cumsum(count)])[:-1]
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows)) - begin[user[order]]

    visible = train.copy()
    visible[rows[free & (place < quota[user])]] = False
    return visible
