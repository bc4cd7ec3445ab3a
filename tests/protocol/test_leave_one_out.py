"""Leave-one-out by hand on twelve interactions, and its promises on random histories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pte.protocol.facts import check, describe, used_rows
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import InputError, Interactions, Items, visible_view


def random_interactions(seed: int, users: int = 60, items: int = 25, longest: int = 14) -> Interactions:
    """Histories of length 1 to `longest`, with repeated pairs and tied times."""
    random = np.random.default_rng(seed)
    length = random.integers(1, longest + 1, users)
    rows = int(length.sum())
    return Interactions(
        user=np.repeat(np.arange(users, dtype=np.int32), length),
        item=random.integers(1, items + 1, rows).astype(np.int32),
        time=np.concatenate([np.sort(random.integers(0, 20, n)) for n in length]).astype(np.int64),
        user_id=[f"u{u}" for u in range(users)],
        items=Items([""] + [f"i{i}" for i in range(items)], [""] + [f"Title {i}" for i in range(items)], {}),
        card={},
    )


def test_last_is_test_and_the_one_before_is_valid(twelve):
    split = LeaveOneOut(min_length=3, withhold=0, min_visible=3, seed=0)(twelve)
    assert split.valid.user.tolist() == split.test.user.tolist() == [0, 1]
    assert twelve.item[split.valid.target].tolist() == [4, 1]
    assert twelve.item[split.test.target].tolist() == [5, 6]
    assert split.test.tied.tolist() == [True, False]  # ann's last two films share a second
    assert split.valid.tied.tolist() == [True, False]  # either of the two may be the second last
    assert twelve.item[split.train].tolist() == [1, 2, 3, 2, 3, 1, 2, 3]  # cy and dee only train
    assert (split.visible == split.train).all()


def test_withholds_only_beyond_what_must_stay_visible(twelve):
    split = LeaveOneOut(withhold=2, min_visible=2)(twelve)
    withheld = np.flatnonzero(split.train & ~split.visible)
    assert twelve.user[withheld].tolist() == [0]  # three train rows, two stay; all others have two or fewer
    assert withheld[0] in (1, 2)  # never the first


@pytest.mark.parametrize("seed", range(5))
def test_promises_on_random_histories(seed):
    interactions = random_interactions(seed)
    split = LeaveOneOut(withhold=2, min_visible=3, seed=seed)(interactions)
    check(interactions, split)
    length = np.diff(interactions.start)
    train = np.bincount(interactions.user[split.train], minlength=60)
    visible = np.bincount(interactions.user[split.visible], minlength=60)
    holdout = np.bincount(interactions.user[split.holdout], minlength=60)
    assert (train == np.where(length >= 3, length - 2, length)).all()
    assert (visible >= np.minimum(train - holdout, 3)).all()
    assert (train - visible - holdout <= 2).all()
    assert used_rows(interactions, split).all()
    shown = set(zip(interactions.user[split.visible].tolist(), interactions.item[split.visible].tolist(), strict=True))
    hidden = np.flatnonzero(split.train & ~split.visible)
    assert hidden.size
    for row in hidden:
        assert (interactions.user[row], interactions.item[row]) not in shown
        assert row not in interactions.start  # never the first row


def test_seed_decides_what_is_withheld_and_nothing_else():
    interactions = random_interactions(1)
    first, again, other = (LeaveOneOut(seed=seed)(interactions) for seed in (0, 0, 1))
    assert (first.visible == again.visible).all()
    assert (first.visible != other.visible).any()
    assert (first.test.target == other.test.target).all()
    assert (first.train == other.train).all()


def test_unknown_times_are_not_ties(twelve):
    twelve.time[:] = -1
    assert not LeaveOneOut()(twelve).test.tied.any()


def test_histories_of_length_one_only_train(twelve):
    lonely = Interactions(
        user=np.arange(3, dtype=np.int32),
        item=np.array([1, 2, 1], np.int32),
        time=np.full(3, -1, np.int64),
        user_id=["a", "b", "c"],
        items=twelve.items,
        card={},
    )
    split = LeaveOneOut()(lonely)
    check(lonely, split)
    assert split.train.all()
    assert split.visible.all()
    facts = describe(lonely, split)
    assert facts["test_cases"] == 0
    assert facts["train_only_users"] == 3


def test_facts_by_hand(twelve):
    facts = describe(twelve, LeaveOneOut(withhold=1, min_visible=2)(twelve))
    assert facts["rows"] == facts["rows_used"] == 12
    assert facts["train_rows"] == 8
    assert facts["withheld_rows"] == 1
    assert facts["train_users"] == 4
    assert facts["train_only_users"] == 2
    assert facts["items_without_train_row"] == 3  # 4, 5 and 6 are targets only
    assert facts["test_targets_without_train_row"] == 2
    assert facts["test_tied_share"] == 0.5


def test_the_view_holds_no_target(twelve):
    split = LeaveOneOut()(twelve)
    view = visible_view(twelve, split)
    assert 5 not in view.item
    assert 6 not in view.item


def test_check_catches_a_target_that_trains(twelve, twelve_split):
    twelve_split.train[4] = True
    with pytest.raises(AssertionError, match="must not train"):
        check(twelve, twelve_split)


def test_check_catches_another_users_row(twelve, twelve_split):
    twelve_split.test.target[0] = 8
    with pytest.raises(AssertionError):
        check(twelve, twelve_split)


@pytest.mark.parametrize("gap", ["train", "holdout"])
def test_check_catches_train_rows_with_a_gap(twelve, twelve_split, gap):
    """Loaders read a user's rows from the first on: of rows with a gap they would read what does not train."""
    rows = np.arange(12) == 1  # ann's second
    split = replace(twelve_split, visible=twelve_split.visible & ~rows)
    with pytest.raises(AssertionError, match="must be consecutive"):
        check(twelve, replace(split, train=split.train & ~rows) if gap == "train" else replace(split, holdout=rows))


def test_too_short_a_minimum_is_refused():
    with pytest.raises(InputError, match="min_length=2"):
        LeaveOneOut(min_length=2)
