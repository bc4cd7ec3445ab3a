"""What a split came to, in counts: whatever a protocol leaves out is counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from pte.schema import Cases, InputError, Interactions, Split


def describe(interactions: Interactions, split: Split) -> dict[str, Any]:
    """Counts of rows, users, items and cases of a split; shares of ties are None where no time is known."""
    trained = np.bincount(interactions.item[split.train], minlength=interactions.num_items + 1) > 0
    visible = np.bincount(interactions.item[split.visible], minlength=interactions.num_items + 1) > 0
    scored = np.union1d(split.valid.user, split.test.user)
    in_train = np.zeros(interactions.num_users, bool)
    in_train[interactions.user[split.train]] = True
    timed = bool((interactions.time >= 0).any())
    facts: dict[str, Any] = {
        "rows": len(interactions.user),
        "rows_used": int(used_rows(interactions, split).sum()),
        "train_rows": int(split.train.sum()),
        "visible_rows": int(split.visible.sum()),
        "withheld_rows": int((split.rest & ~split.visible).sum()),
        "holdout_rows": int((split.train & ~split.rest).sum()),
        "train_users": int(in_train.sum()),
        "train_only_users": int(in_train.sum() - in_train[scored].sum()),
        "unscored_users": int((~in_train).sum() - (~in_train[scored]).sum()),  # no train row, no case: a single row
        "empty_prefixes": int((~in_train).sum()),  # "what comes first?" of users unseen in training: never evaluated
        "items_without_train_row": int((~trained[1:]).sum()),
        "items_without_visible_row": int((~visible[1:]).sum()),
    }
    for name, part in (("valid", split.valid), ("test", split.test)):
        count = len(part.target)
        facts[f"{name}_cases"] = count
        facts[f"{name}_users"] = len(np.unique(part.user))
        facts[f"{name}_tied_share"] = round(float(part.tied.mean()), 4) if count and timed else None
        facts[f"{name}_targets_without_train_row"] = int((~trained[interactions.item[part.target]]).sum())
    return facts


def used_rows(interactions: Interactions, split: Split) -> np.ndarray:
    """(M,) bool: rows that train, or are a case's target or history."""
    edge = np.zeros(len(interactions.user) + 1, np.int64)  # +1 where a case's rows begin, -1 behind its target
    for part in (split.valid, split.test):
        np.add.at(edge, part.history_begin(interactions), 1)
        np.add.at(edge, part.target + 1, -1)
    return split.train | (np.cumsum(edge[:-1]) > 0)


def check(interactions: Interactions, split: Split) -> None:
    """Raise where a split breaks what every reader of it relies on; a wrong split is a bug, not a user's mistake."""
    if (split.visible & ~split.train).any():
        raise AssertionError("visible rows must be train rows")
    if split.holdout is not None and (split.holdout & (split.visible | ~split.train)).any():
        raise AssertionError("rows held out must be train rows that no prompt shows")
    for part in (split.valid, split.test):
        _check_cases(interactions, split, part)
    for rows in (split.train, split.rest):
        user, place = interactions.user[rows], np.flatnonzero(rows)
        if ((user[1:] == user[:-1]) & (np.diff(place) > 1)).any():
            raise AssertionError("a user's train rows must be consecutive, and so must those that are not held out")
    last = np.full(interactions.num_users, -1, np.int64)
    np.maximum.at(last, split.valid.user, split.valid.target)
    both = last[split.test.user]
    if (both >= split.test.target).any():
        raise AssertionError("a user's validation target must come before the test target")


def require_cases(interactions: Interactions, split: Split) -> None:
    """Refuse a split with nothing to learn from or to ask, which would fail or print an empty table stages later."""
    for part, count in (("validation", len(split.valid.target)), ("test", len(split.test.target))):
        if not count:
            longest = int(np.bincount(interactions.user, minlength=1).max()) if len(interactions.user) else 0
            raise InputError(
                f"the protocol leaves no {part} case: {interactions.num_users:,} users, the longest history has"
                f" {longest} rows. A user is evaluated on the last rows and needs earlier ones as history"
                " (leave-one-out: three rows): give more data, keep longer histories, or take another protocol"
            )
    if not split.train.any():
        raise InputError("the protocol leaves no training row: give more data, or take another protocol")


def _check_cases(interactions: Interactions, split: Split, part: Cases) -> None:
    if split.train[part.target].any():
        raise AssertionError("a target must not train")
    if (interactions.user[part.target] != part.user).any() or (part.history_begin(interactions) >= part.target).any():
        raise AssertionError("a target must be its user's row, with at least one row of history")
