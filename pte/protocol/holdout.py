"""Hold a few training rows back from whatever is combined, so that the combination is fitted on rows no part has seen.

A part that has seen a row knows its answer, and a combination fitted on such rows trusts whichever part remembers best
(Wolpert, "Stacked generalization", 1992). Taken are last training rows, the questions most like the test's, of users
whose last row is withheld from prompts as well: so a text written for selection does not name it either.
"""

from __future__ import annotations

import numpy as np

from pte.schema import Cases, Interactions, Split


def holdout_rows(interactions: Interactions, split: Split, *, count: int, seed: int) -> np.ndarray:
    """(H,) int64 rising rows of `interactions`, one of a user at most and H <= count: drawn among the last training
    rows that prompts do not show and that have at least two training rows of the same user before them.
    """
    rows = np.flatnonzero(split.train)
    user = interactions.user[rows]
    last = np.ones(len(rows), bool)
    last[:-1] = user[1:] != user[:-1]
    size = np.bincount(user, minlength=interactions.num_users)
    fitting = rows[last & ~split.visible[rows] & (size[user] >= 3)]
    drawn = np.random.default_rng(seed).permutation(len(fitting))[:count]
    return np.sort(fitting[drawn]).astype(np.int64)


def holdout_cases(interactions: Interactions, split: Split, rows: np.ndarray) -> Cases:
    """The questions that ask for these rows (H,): the history is the user's training rows before each."""
    train = np.flatnonzero(split.train)
    user = interactions.user[rows]
    begin = train[np.searchsorted(interactions.user[train], user)]
    return Cases(user.astype(np.int32), rows.astype(np.int64), np.zeros(len(rows), bool), begin.astype(np.int64))
