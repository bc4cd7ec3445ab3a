"""Leave-one-out: a user's last interaction is the test target, the one before it validates, the rest trains.

The community's standard for next-item recommendation (SASRec, S3-Rec). Users with fewer than `min_length` interactions
train only, so that none is lost; they are counted in the split's facts.
"""

from __future__ import annotations

import numpy as np

from pte.protocol.withhold import Withheld
from pte.schema import Cases, InputError, Interactions, Split


class LeaveOneOut:
    """Last = test, second last = validation, the rest = training."""

    def __init__(
        self, *, min_length: int = 3, withhold: int = 2, min_visible: int = 3, holdout: int = 3000, seed: int = 0
    ) -> None:
        if min_length < 3:
            raise InputError(
                f"protocol.min_length={min_length}: train, validation and test take at least 3 interactions"
            )
        self.min_length = min_length
        self.withheld = Withheld(withhold, min_visible, holdout, seed)

    def __call__(self, interactions: Interactions) -> Split:
        start = interactions.start
        user = np.flatnonzero(np.diff(start) >= self.min_length).astype(np.int32)
        if not len(user) and self.min_length > 3:
            raise InputError(
                f"protocol.min_length={self.min_length}: the longest history has {int(np.diff(start).max())} rows, so"
                " that nobody would be evaluated: give 3, or as many as users have"
            )
        last = start[user + 1] - 1
        train = np.ones(len(interactions.user), bool)
        train[last] = False
        train[last - 1] = False
        return self.withheld.split(
            interactions, train, cases(interactions, user, last - 1), cases(interactions, user, last)
        )


def cases(interactions: Interactions, user: np.ndarray, target: np.ndarray, begin: np.ndarray | None = None) -> Cases:
    """Cases of the given users (C,) and target rows (C,); every target has a row of the same user before it.

    Tied: as late as the row before or after, so that which of them is the target is a convention.
    """
    time, end = interactions.time, interactions.start[user + 1]
    after = np.minimum(target + 1, end - 1)
    tied = (time[target] == time[target - 1]) | ((time[target] == time[after]) & (after > target))
    tied &= time[target] >= 0
    return Cases(user.astype(np.int32), target.astype(np.int64), tied, begin)
