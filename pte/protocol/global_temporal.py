"""Global temporal split: two moments part all users' interactions into training, validation and test.

The only split under which no model sees what happened after a test case (Meng et al., RecSys 2020,
"temporal global"; Gusak et al., RecSys 2025): rows before the first moment train; a row between the two may be a
validation target, a row after the second a test target, each after its user's earlier rows. Rows of one second fall
on one side. The moments are dates, or the times by which a share of all interactions has happened. `scoring` takes
every row of a part, or each user's last one in it (one case per user). A user's first row is never a target.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from pte.protocol.leave_one_out import cases
from pte.protocol.withhold import Withheld, check_draw
from pte.schema import Cases, InputError, Interactions, Split


class GlobalTemporal:
    """Train before `valid_from`, validate before `test_from`, test after it; null: by the shares of interactions."""

    def __init__(
        self,
        *,
        shares: Sequence[int] = (8, 1, 1),
        valid_from: str | None = None,
        test_from: str | None = None,
        scoring: str = "last",
        withhold: int = 2,
        min_visible: int = 3,
        holdout: int = 3000,
        seed: int = 0,
    ) -> None:
        check_draw(shares, scoring)
        if (valid_from is None) != (test_from is None):
            raise InputError("protocol.valid_from and protocol.test_from: give both dates, or neither")
        self.shares, self.scoring = tuple(shares), scoring
        self.dates = {"valid_from": _second("valid_from", valid_from), "test_from": _second("test_from", test_from)}
        _parted(self.dates["valid_from"], self.dates["test_from"])
        self.seed, self.withheld = seed, Withheld(withhold, min_visible, holdout, seed)

    def __call__(self, interactions: Interactions) -> Split:
        """InputError: an unknown time, an order that contradicts the times, or an empty part."""
        _ordered(interactions)
        first, second = self.moments(interactions.time)
        train = interactions.time < first
        valid = self._cases(interactions, ~train & (interactions.time < second))
        test = self._cases(interactions, interactions.time >= second)
        for name, count in {"train": int(train.sum()), "valid": len(valid.user), "test": len(test.user)}.items():
            if count == 0:
                raise InputError(
                    f"protocol=global_temporal leaves nothing to {name}: validation begins at {_day(first)}, test at"
                    f" {_day(second)}, the data go from {_day(int(interactions.time.min()))} to"
                    f" {_day(int(interactions.time.max()))}. Type other protocol.shares, or protocol.valid_from and"
                    " protocol.test_from"
                )
        return self.withheld.split(interactions, train, valid, test)

    def moments(self, time: np.ndarray) -> tuple[int, int]:
        """The Unix seconds at which validation and test begin. time: (M,)."""
        first, second = self.dates["valid_from"], self.dates["test_from"]
        if first is None or second is None:
            train, valid, _ = self.shares
            order, whole = np.sort(time), sum(self.shares)
            first, second = (int(order[len(order) * part // whole]) for part in (train, train + valid))
        _parted(first, second)
        return first, second

    def _cases(self, interactions: Interactions, part: np.ndarray) -> Cases:
        """The targets of a part, (M,) bool: its rows with a row of their user before them, or each user's last."""
        row = np.flatnonzero(part)
        row = row[row > interactions.start[interactions.user[row]]]
        if self.scoring == "last":
            user = interactions.user[row]
            row = row[np.append(user[1:] != user[:-1], True)] if len(row) else row
        return cases(interactions, interactions.user[row], row)


def _ordered(interactions: Interactions) -> None:
    """Times must be known and rise within each user: else what a split by time calls the past may be the future."""
    user, time = interactions.user, interactions.time
    unknown = int((time < 0).sum())
    if unknown:
        raise InputError(
            f"protocol=global_temporal needs the time of every interaction; {unknown:,} of {len(time):,} are unknown."
            " Type protocol=leave_one_out, or give the times"
        )
    back = (user[1:] == user[:-1]) & (time[1:] < time[:-1])
    if back.any():
        raise InputError(
            f"protocol=global_temporal: the positions of {len(np.unique(user[1:][back])):,} users contradict times."
            " Type dataset.position=null to order by time, or protocol=leave_one_out"
        )


def _parted(first: int | None, second: int | None) -> None:
    """InputError for a test that begins no later than validation."""
    if first is not None and second is not None and first >= second:
        raise InputError(
            f"protocol=global_temporal: validation begins at {_day(first)} and the test at {_day(second)}, which is no"
            " later. Type other protocol.shares, or protocol.valid_from and a later protocol.test_from"
        )


def _second(knob: str, date: str | None) -> int | None:
    if date is None:
        return None
    try:
        moment = datetime.fromisoformat(str(date))
    except ValueError:
        raise InputError(
            f"protocol.{knob}={date}: must be a date such as 2014-01-31 or '2014-01-31 12:00:00'"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _day(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(" ")[:19] if second < 253_402_300_800 else str(second)
