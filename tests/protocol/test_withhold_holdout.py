"""Rows held out for a combination: last training rows that no prompt shows, and the questions that ask for them."""

import numpy as np
import pytest

from pte.protocol import withhold
from pte.protocol.leave_one_out import LeaveOneOut
from pte.protocol.withhold import holdout_cases, holdout_rows
from pte.schema import Cases, InputError, Interactions, Items, Split, training_view

NONE = Cases(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, bool))


@pytest.fixture
def interactions():
    """20 users with the items 1..6 each."""
    user = np.repeat(np.arange(20, dtype=np.int32), 6)
    item = np.tile(np.arange(1, 7, dtype=np.int32), 20)
    items = Items([str(i) for i in range(7)], [""] * 7, {})
    return Interactions(user, item, np.arange(120), [str(u) for u in range(20)], items, {})


@pytest.fixture
def train():
    return np.tile([True, True, True, True, False, False], 20)


def drawn(interactions, train, count=3000, seed=0):
    return np.flatnonzero(holdout_rows(interactions, train, count=count, seed=seed))


def test_last_training_rows_of_a_quarter_of_the_users_at_most(interactions, train):
    rows = drawn(interactions, train)
    assert len(rows) == 5
    assert set(rows % 6) == {3}


def test_as_many_as_requested_and_the_same_every_time(interactions, train, monkeypatch):
    monkeypatch.setattr(withhold, "HOLDOUT_SHARE", 1.0)
    assert drawn(interactions, train).tolist() == list(range(3, 120, 6))
    rows = drawn(interactions, train, count=2, seed=1)
    assert len(rows) == 2
    assert rows.tolist() == drawn(interactions, train, count=2, seed=1).tolist()


def test_neither_short_histories_nor_repeated_pairs(interactions, train, monkeypatch):
    monkeypatch.setattr(withhold, "HOLDOUT_SHARE", 1.0)
    train[[0, 1]] = False  # user 0 keeps two rows
    interactions.item[9] = interactions.item[6]  # user 1's last training row repeats the first
    assert drawn(interactions, train).tolist() == list(range(15, 120, 6))


def test_the_history_is_the_training_rows_before(interactions, train):
    train[6] = False  # user 1 starts to train one row later
    holdout = np.zeros(120, bool)
    holdout[[3, 9]] = True
    cases = holdout_cases(interactions, Split(train, train & ~holdout, NONE, NONE, holdout))
    assert cases.user.tolist() == [0, 1]
    assert cases.history_begin(interactions).tolist() == [0, 7]
    assert cases.target.tolist() == [3, 9]


@pytest.mark.parametrize("rows", [0, 2])
def test_no_view_shows_them_and_they_come_back_from_disk(interactions, tmp_path, rows):
    split = LeaveOneOut(withhold=rows, min_visible=1)(interactions)
    split.save(tmp_path)
    again = Split.load(tmp_path)
    assert (again.holdout == split.holdout).all()
    assert split.holdout.sum() == 5
    assert not (split.holdout & split.visible).any()
    assert len(training_view(interactions, split).user) == split.train.sum() - 5
    assert split.visible.sum() == (split.train.sum() - 5 if rows == 0 else split.train.sum() - 5 - 2 * 20)


def test_a_negative_count_is_refused(interactions):
    with pytest.raises(InputError, match=r"protocol\.holdout=-1"):
        LeaveOneOut(holdout=-1)(interactions)
