"""Training rows that some reader must not know: withheld from the prompts for the reward, held out for the gates.

Of a user with n train rows, w = min(withhold, n - min_visible) rows (none if that is negative) are drawn uniformly,
with two exceptions: the user's first row is never withheld (a prompt never starts from nothing), and a pair the user
repeats in training is never withheld (its other row would show the prompt what it must not know).

What combines several models is fitted on rows that none of them was fitted on, or it trusts whichever remembers best
(Wolpert, "Stacked generalization", 1992). Held out for it are last training rows, the cases most like the test's,
which no text states and no such model trains on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pte.schema import Cases, InputError, Interactions, Split, one_of, require

SCORING = ("every_prefix", "last")
HOLDOUT_SHARE = 0.25  # ours: of the users who could give a row, at most; small data keep most of their last rows


def check_draw(shares: Sequence[int], scoring: str) -> None:
    """InputError for what does not part cases: train : valid : test, and which rows of a part are targets."""
    if len(shares) != 3 or min(shares) < 1:
        raise InputError(f"protocol.shares={list(shares)}: three positive numbers, train : valid : test")
    one_of("protocol.scoring", scoring, SCORING)


@dataclass(frozen=True)
class Withheld:
    """What a protocol keeps back from its training rows, and from whom."""

    withhold: int  # rows of a user that prompts do not show, for the reward
    min_visible: int  # rows of a user that prompts do show, of those who have as many
    holdout: int  # last rows of as many users, which neither prompts nor combined models see
    seed: int

    def __post_init__(self) -> None:
        require(self.withhold >= 0, "protocol.withhold", self.withhold, "give a whole number, 0 or more")
        require(self.min_visible >= 1, "protocol.min_visible", self.min_visible, "give a whole number, 1 or more")
        require(self.holdout >= 0, "protocol.holdout", self.holdout, "give a whole number, 0 or more")

    def split(self, interactions: Interactions, train: np.ndarray, valid: Cases, test: Cases) -> Split:
        """The split with these training rows (M,) bool and cases."""
        holdout = holdout_rows(interactions, train, count=self.holdout, seed=self.seed)
        visible = visible_rows(
            interactions, train & ~holdout, withhold=self.withhold, min_visible=self.min_visible, seed=self.seed
        )
        return Split(train, visible, valid, test, holdout)


def holdout_rows(interactions: Interactions, train: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """(M,) bool: the last train rows of at most `count` users, drawn at random.

    Never of a user with fewer than three train rows, nor a pair that the user repeats in training; at most
    HOLDOUT_SHARE of the rows that are left to draw from.
    """
    rows = np.flatnonzero(train)
    user = interactions.user[rows]
    last = np.ones(len(rows), bool)
    last[:-1] = user[1:] != user[:-1]
    size = np.bincount(user, minlength=interactions.num_users)
    eligible = rows[last & ~_repeated(interactions, rows) & (size[user] >= 3)]
    most = min(count, int(len(eligible) * HOLDOUT_SHARE))
    holdout = np.zeros(len(train), bool)
    holdout[np.random.default_rng([seed, 1]).permutation(eligible)[:most]] = True
    return holdout


def _repeated(interactions: Interactions, rows: np.ndarray) -> np.ndarray:
    """(R,) bool: the pair of user and item stands in these rows (R,) more than once."""
    pair = interactions.user[rows].astype(np.int64) * (interactions.num_items + 1) + interactions.item[rows]
    _, where, times = np.unique(pair, return_inverse=True, return_counts=True)
    return times[where] > 1


def visible_rows(
    interactions: Interactions, train: np.ndarray, *, withhold: int, min_visible: int, seed: int
) -> np.ndarray:
    """(M,) bool: the train rows that prompts may show; at least min(n, min_visible) of each user's n."""
    rows = np.flatnonzero(train)  # (R,), sorted by user, oldest first
    user = interactions.user[rows]
    count = np.bincount(user, minlength=interactions.num_users)
    quota = np.clip(count - min_visible, 0, withhold)  # (U,)

    first = np.ones(len(rows), bool)
    first[1:] = user[1:] != user[:-1]
    free = ~first & ~_repeated(interactions, rows)

    draw = np.random.default_rng(seed).random(len(rows))
    order = np.lexsort((draw, ~free, user))  # by user, then the free rows in random order
    begin = np.concatenate([[0], np.cumsum(count)])[:-1]
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows)) - begin[user[order]]

    visible = train.copy()
    visible[rows[free & (place < quota[user])]] = False
    return visible


def holdout_cases(interactions: Interactions, split: Split) -> Cases:
    """The cases whose targets are the rows held out: the history is the user's training rows before each."""
    rows = np.flatnonzero(split.train & ~split.rest)
    train = np.flatnonzero(split.train)
    user = interactions.user[rows]
    begin = train[np.searchsorted(interactions.user[train], user)]
    return Cases(user.astype(np.int32), rows.astype(np.int64), np.zeros(len(rows), bool), begin.astype(np.int64))
