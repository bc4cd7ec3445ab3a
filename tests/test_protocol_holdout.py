"""Rows held out for a combination: last training rows that prompts do not show, and the questions that ask for them."""

import numpy as np
import pytest

from pte.protocol.holdout import holdout_cases, holdout_rows
from pte.schema import Cases, Interactions, Items, Split

NONE = Cases(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, bool))


@pytest.fixture
def data():
    user = np.repeat(np.arange(20, dtype=np.int32), 6)
    item = np.tile(np.arange(1, 7, dtype=np.int32), 20)
    items = Items([str(i) for i in range(7)], [""] * 7, {})
    interactions = Interactions(user, item, np.arange(120), [str(u) for u in range(20)], items, {})
    train = np.tile([True, True, True, True, False, False], 20)
    visible = train.copy()
    visible[[3, 9, 15, 14, 20]] = False  # last rows of users 0 1 2, earlier rows of users 2 and 3
    return interactions, Split(train, visible, NONE, NONE)


def test_last_training_rows_that_no_prompt_shows(data):
    assert holdout_rows(*data, count=10, seed=0).tolist() == [3, 9, 15]


def test_no_more_than_asked_for_and_the_same_every_time(data):
    rows = holdout_rows(*data, count=2, seed=1)
    assert len(rows) == 2
    assert rows.tolist() == holdout_rows(*data, count=2, seed=1).tolist()


def test_the_history_is_the_training_rows_before(data):
    interactions, split = data
    split.train[6] = False  # user 1 starts to train one row later
    cases = holdout_cases(interactions, split, np.array([3, 9]))
    assert cases.user.tolist() == [0, 1]
    assert cases.history_begin(interactions).tolist() == [0, 7]
    assert cases.target.tolist() == [3, 9]


def test_two_rows_stay_before_each(data):
    interactions, split = data
    split.train[[0, 1]] = False  # user 0 keeps rows 2 and 3
    assert holdout_rows(interactions, split, count=10, seed=0).tolist() == [9, 15]
