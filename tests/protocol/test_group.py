"""Head and tail by hand: who counts, how ties fall, what LLM-ESR's thresholds do."""

from __future__ import annotations

import numpy as np
import pytest

from pte.protocol.cold_start import ColdStart
from pte.protocol.group import (
    history_length,
    item_groups,
    llm_esr_item_groups,
    llm_esr_user_groups,
    user_groups,
)
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import Interactions, Items


def test_head_items_by_train_count(twelve, twelve_split):
    # Train rows: items 1 2 3 (ann), 2 3 (bob), 1 2 (cy), 3 (dee): 1 twice, 2 and 3 three times, 4 5 6 never.
    assert np.flatnonzero(item_groups(twelve, twelve_split, 0.2)).tolist() == [2, 3]  # ceil(.2 * 6) = 2
    assert np.flatnonzero(item_groups(twelve, twelve_split, 1 / 6)).tolist() == [2]  # of equals the smaller index
    assert np.flatnonzero(item_groups(twelve, twelve_split, 1.0)).tolist() == [1, 2, 3]  # never trained: tail


def test_held_out_rows_make_nothing_popular(twelve, twelve_split):
    before = item_groups(twelve, twelve_split)
    later = ~twelve_split.train
    twelve.item[later] = 6
    assert (item_groups(twelve, twelve_split) == before).all()


def test_head_users_are_the_longest_of_those_scored(twelve, twelve_split):
    assert history_length(twelve, twelve_split).tolist() == [3, 2, 2, 1]
    assert user_groups(twelve, twelve_split, 0.5).tolist() == [True, False, False, False]  # 1 of ann and bob
    assert user_groups(twelve, twelve_split, 1.0).tolist() == [True, True, False, False]  # cy and dee are not asked


@pytest.mark.parametrize(("count", "share", "many"), [(10, 0.2, 2), (11, 0.2, 3), (5, 0.2, 1), (11924, 0.2, 2385)])
def test_the_share_rounds_up(count, share, many):
    interactions = Interactions(
        user=np.zeros(count, np.int32),
        item=np.arange(1, count + 1, dtype=np.int32),
        time=np.arange(count, dtype=np.int64),
        user_id=["u"],
        items=Items([""] * (count + 1), [""] * (count + 1), {}),
        card={},
    )
    split = LeaveOneOut()(interactions)
    assert item_groups(interactions, split, share).sum() == many


def test_users_unseen_in_training_count_their_history():
    length = np.arange(2, 32)
    rows = int(length.sum())
    interactions = Interactions(
        user=np.repeat(np.arange(30, dtype=np.int32), length),
        item=np.ones(rows, np.int32),
        time=np.arange(rows, dtype=np.int64),
        user_id=[str(u) for u in range(30)],
        items=Items(["", "a"], ["", "A"], {}),
        card={},
    )
    split = ColdStart(shares=(1, 1, 1), scoring="last")(interactions)
    assert (history_length(interactions, split)[split.test.user] == length[split.test.user] - 1).all()
    cut = ColdStart(shares=(1, 1, 1), max_interactions=11)(interactions)
    assert history_length(interactions, cut).max() == 11  # a train user's; a test user has at most 10 before the target
    assert history_length(interactions, cut)[cut.test.user].max() == 10
    head = user_groups(interactions, split)
    for part in (split.valid, split.test):
        users = np.unique(part.user)
        assert head[users].sum() == 2  # ceil(.2 * 10)
        assert head[np.sort(users)[-2:]].all()  # the longest two
        long = length[users] - 1 >= 15  # LLM-ESR's threshold, in validation as in the test
        assert 0 < long.sum() < len(users)
        assert (llm_esr_user_groups(interactions, split, 15)[users] == long).all()


def test_llm_esr_thresholds(twelve, twelve_split):
    # All rows: item 1 three times, 2 three, 3 three, 4 once, 5 once, 6 once.
    assert np.flatnonzero(llm_esr_item_groups(twelve, twelve_split, 3)).tolist() == [1, 2, 3]
    assert np.flatnonzero(llm_esr_item_groups(twelve, twelve_split, 1)).tolist() == [1, 2, 3, 4, 5, 6]
    assert llm_esr_user_groups(twelve, twelve_split, 4).tolist() == [True, False, False, False]  # ann 4, bob 3
    assert llm_esr_user_groups(twelve, twelve_split, 0).tolist() == [True, True, False, False]
