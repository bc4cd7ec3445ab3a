"""The global temporal split by hand, and its promise that nothing trains from after a question."""

from __future__ import annotations

import numpy as np
import pytest

from pte.protocol.facts import check, describe
from pte.protocol.global_temporal import GlobalTemporal
from pte.schema import InputError, Interactions, Items


def interactions_of(seed: int, users: int = 40) -> Interactions:
    random = np.random.default_rng(seed)
    length = random.integers(1, 15, users)
    rows = int(length.sum())
    return Interactions(
        user=np.repeat(np.arange(users, dtype=np.int32), length),
        item=random.integers(1, 21, rows).astype(np.int32),
        time=np.concatenate([np.sort(random.integers(0, 60, n)) for n in length]).astype(np.int64),
        user_id=[str(u) for u in range(users)],
        items=Items([""] + [str(i) for i in range(20)], [""] + [f"t{i}" for i in range(20)], {}),
        card={},
    )


def test_by_hand(twelve):
    split = GlobalTemporal(valid_from="1970-01-01 00:00:25", test_from="1970-01-01 00:00:35", withhold=0)(twelve)
    assert twelve.time[split.train].tolist() == [10, 20, 5, 15, 8, 9]
    assert twelve.time[split.valid.target].tolist() == [30, 25]
    assert twelve.time[split.test.target].tolist() == [40, 35]  # each user's last; dee's only row is never asked
    assert split.test.user.tolist() == [0, 1]
    assert split.test.tied.tolist() == [True, False]
    every = GlobalTemporal(
        valid_from="1970-01-01 00:00:25", test_from="1970-01-01 00:00:35", scoring="every_prefix", withhold=0
    )(twelve)
    assert twelve.time[every.test.target].tolist() == [40, 40, 35]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scoring", ["last", "every_prefix"])
def test_nothing_trains_from_after_a_question(seed, scoring):
    interactions = interactions_of(seed)
    split = GlobalTemporal(scoring=scoring, seed=seed)(interactions)
    check(interactions, split)
    time = interactions.time
    assert time[split.train].max() < time[split.valid.target].min()
    assert time[split.valid.target].max() < time[split.test.target].min()
    assert not (split.visible & ~split.train).any()
    share = split.train.mean()
    assert 0.7 < share <= 0.8  # the second at the cut goes to validation as a whole
    facts = describe(interactions, split)
    assert facts["test_cases"] == len(split.test.target)
    if scoring == "last":
        assert facts["test_users"] == facts["test_cases"]


def test_rows_of_one_second_stay_together():
    interactions = interactions_of(3)
    first, second = GlobalTemporal().moments(interactions.time)
    split = GlobalTemporal(scoring="every_prefix")(interactions)
    assert (split.train == (interactions.time < first)).all()
    assert (interactions.time[split.test.target] >= second).all()


def test_what_cannot_be_split_is_refused(twelve):
    unknown = twelve.time.copy()
    unknown[2] = -1
    with pytest.raises(InputError, match=r"1 of 12 are unknown.*leave_one_out"):
        GlobalTemporal()(Interactions(**{**vars(twelve), "time": unknown}))
    backward = twelve.time.copy()
    backward[:2] = backward[1::-1]
    with pytest.raises(InputError, match=r"1 users contradict.*dataset\.position=null"):
        GlobalTemporal()(Interactions(**{**vars(twelve), "time": backward}))
    with pytest.raises(InputError, match="no later"):
        GlobalTemporal()(Interactions(**{**vars(twelve), "time": np.full(12, 7)}))
    with pytest.raises(InputError, match=r"nothing to test.*protocol\.shares"):
        GlobalTemporal(valid_from="1970-01-01 00:00:25", test_from="2020-01-01")(twelve)


@pytest.mark.parametrize(
    "knobs",
    [{"shares": (1, 1)}, {"shares": (8, 0, 1)}, {"scoring": "first"}, {"valid_from": "2014-01-01"},
     {"valid_from": "soon", "test_from": "later"}, {"valid_from": "2020-09-14", "test_from": "2020-09-13"}],
)  # fmt: skip
def test_impossible_settings_are_refused(knobs):
    with pytest.raises(InputError, match=r"protocol\."):
        GlobalTemporal(**knobs)
