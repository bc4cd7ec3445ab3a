"""The same steps whatever the number of processes, nothing left out, nothing twice, and histories that end in time."""

import dataclasses

import numpy as np
import pytest
import torch

from pte.schema import Cases, InputError, Interactions, Items, Split
from pte.train.loader import EvaluationLoader, TrainingLoader, windows


def many(users=101, seed=0):
    """Users with 3 to 40 interactions; item numbers rise along each user so that order shows. Leave-one-out."""
    rng = np.random.default_rng(seed)
    count = rng.integers(3, 41, users)
    user = np.repeat(np.arange(users, dtype=np.int32), count)
    place = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    item = (place * users + user + 1).astype(np.int32)
    items = Items([""] + [str(i) for i in range(1, 41 * users)], [""] * 41 * users, {})
    interactions = Interactions(user, item, np.full(len(user), -1), [str(u) for u in range(users)], items, {})
    train = place < count[user] - 2
    ask = np.arange(users, dtype=np.int32)
    valid, test = (Cases(ask, interactions.start[1:] - back, np.zeros(users, bool)) for back in (2, 1))
    return interactions, Split(train, train, valid, test)


@pytest.fixture(scope="module")
def data():
    return many()


def pairs(batch):
    """(input, target, position) triples of a packed batch, sorted."""
    at = batch.target > 0
    return sorted(zip(batch.item[at].tolist(), batch.target[at].tolist(), batch.position[at].tolist(), strict=True))


def test_twelve_by_hand(twelve, twelve_split):
    (batch,) = TrainingLoader(twelve, twelve_split, row_length=4, batch_size=10, seed=0)
    # training sequences 1 2 3 | 2 3 | 1 2 | 3: dee's single item teaches nothing
    assert pairs(batch) == [(1, 2, 0), (1, 2, 0), (2, 3, 0), (2, 3, 1)]
    assert batch.total == 4


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_every_process_sees_its_share_of_the_same_steps(data, world):
    alone = list(TrainingLoader(*data, row_length=20, batch_size=10, seed=3))
    shares = [
        list(TrainingLoader(*data, row_length=20, batch_size=10, seed=3, rank=r, world=world)) for r in range(world)
    ]
    assert {len(share) for share in shares} == {len(alone)}
    for step, parts in zip(alone, zip(*shares, strict=True), strict=True):
        assert sorted(pair for part in parts for pair in pairs(part)) == pairs(step)
        assert {part.total for part in parts} == {step.total} == {float(len(pairs(step)))}


def test_an_epoch_holds_every_training_pair_once(data):
    interactions, split = data
    exclusion = sorted(p for b in TrainingLoader(*data, row_length=50, batch_size=10, seed=0) for p in pairs(b))
    rows = np.flatnonzero(split.train[:-1] & split.train[1:] & (interactions.user[:-1] == interactions.user[1:]))
    wanted = zip(
        interactions.item[rows],
        interactions.item[rows + 1],
        rows - interactions.start[interactions.user[rows]],
        strict=True,
    )
    assert exclusion == sorted(tuple(map(int, triple)) for triple in wanted)


def test_no_held_out_item_is_trained_on(data):
    interactions, split = data
    held_out = set(interactions.item[~split.train].tolist())  # items of `many` occur once
    for batch in TrainingLoader(*data, row_length=50, batch_size=10, seed=0):
        assert not held_out & set(batch.item.flatten().tolist())
        assert not held_out & set(batch.target.flatten().tolist())


def test_the_order_is_a_function_of_seed_and_epoch(data):
    def order(seed, epoch):
        loader = TrainingLoader(*data, row_length=20, batch_size=10, seed=seed)
        loader.sampler.set_epoch(epoch)
        assert [b.item.tolist() for b in loader] == [b.item.tolist() for b in loader]
        return loader.members().tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 1) != order(1, 0)


def test_the_last_partial_step_is_retained(data):
    loader = TrainingLoader(*data, row_length=50, batch_size=10, seed=0)
    usable = int((np.bincount(data[0].user[data[1].train], minlength=101) >= 2).sum())
    assert usable % 10
    assert len(loader) == len(list(loader)) == -(-usable // 10)
    assert np.unique(loader.members()).tolist() == [-1, *range(usable)]


def test_windows_by_hand():
    # ten rows from row 0 on, two from row 10, seven from row 30; windows of three inputs and the target of the last
    begin, length, history = windows(np.array([0, 10, 30]), np.array([10, 2, 7]), 3)
    assert history.tolist() == [0, 0, 0, 1, 2, 2]
    assert list(zip(begin.tolist(), length.tolist(), strict=True)) == [
        (6, 4), (3, 4), (0, 4), (10, 2), (33, 4), (30, 4)
    ]  # fmt: skip


@pytest.mark.parametrize("inputs", [1, 2, 3, 50])
def test_every_row_but_the_first_is_a_target_once_however_short_the_windows(data, inputs):
    interactions, split = data
    targets = sorted(
        target
        for batch in TrainingLoader(*data, row_length=inputs, batch_size=7, seed=0)
        for _, target, _ in pairs(batch)
    )
    train = np.flatnonzero(split.train)
    first = train[np.unique(interactions.user[train], return_index=True)[1]]
    assert targets == sorted(interactions.item[np.setdiff1d(train, first)].tolist())


def test_a_step_holds_as_many_as_have_the_targets_requested(data):
    plain = TrainingLoader(*data, row_length=20, batch_size=10, seed=0)
    mean = sum(batch.total for batch in plain) / len(plain.begin)
    bounded = TrainingLoader(*data, row_length=20, batch_size=10, seed=0, batch_targets=round(4 * mean))
    assert bounded.batch_size == 4
    assert len(bounded) == -(-len(plain.begin) // 4)
    assert TrainingLoader(*data, row_length=20, batch_size=10, seed=0, batch_targets=10**6).batch_size == 10
    assert TrainingLoader(*data, row_length=20, batch_size=10, seed=0, batch_targets=1).batch_size == 1


def test_an_epoch_of_more_steps_begins_again_in_another_order(data):
    loader = TrainingLoader(*data, row_length=50, batch_size=10, seed=0, epoch_steps=25)
    usable, order = len(loader.begin), loader.members().ravel()
    assert len(loader) == len(list(loader)) == 25
    assert len(order) == 250
    assert order.min() == 0  # every step is full
    assert sorted(order[:usable]) == sorted(order[usable : 2 * usable]) == list(range(usable))
    assert order[:usable].tolist() != order[usable : 2 * usable].tolist()
    one = TrainingLoader(*data, row_length=20, batch_size=10, seed=0, epoch_steps=2)
    assert one.members().tolist() == TrainingLoader(*data, row_length=20, batch_size=10, seed=0).members().tolist()


def test_nothing_to_learn_is_reported(twelve, twelve_split):
    none = dataclasses.replace(twelve_split, train=np.zeros(12, bool))
    with pytest.raises(InputError, match="nothing to learn"):
        TrainingLoader(twelve, none, row_length=4, batch_size=1, seed=0)


def test_questions_by_hand(twelve, twelve_split):
    (batch,) = EvaluationLoader(twelve, twelve_split.test, row_length=3)
    # bob 2 3 1 -> 6, ann 1 2 3 4 -> 5: sorted by length, the history cut to its newest three
    assert batch.case.tolist() == [1, 0]
    assert batch.history.item.tolist() == [[2, 3, 1], [2, 3, 4]]
    assert batch.history.length.tolist() == [3, 3]
    assert batch.target.tolist() == [6, 5]
    assert batch.exclusion.tolist() == [[2, 3, 1, 0], [1, 2, 3, 4]]


def test_a_history_may_begin_after_the_users_first_row(twelve):
    cases = Cases(np.array([0], np.int32), np.array([4]), np.zeros(1, bool), begin=np.array([2]))
    (batch,) = EvaluationLoader(twelve, cases, row_length=3)
    assert batch.history.item.tolist() == [[3, 4]]
    assert batch.exclusion.tolist() == [[3, 4]]


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("users", [1, 2, 3, 4, 5, 6, 7, 15])
def test_every_case_is_scored_once(users, world):
    interactions, split = many(users)
    cases = [
        case
        for rank in range(world)
        for batch in EvaluationLoader(interactions, split.test, row_length=9, scores_mib=0.01, rank=rank, world=world)
        for case in batch.case.tolist()
    ]
    assert sorted(cases) == list(range(users))


def test_questions_are_the_cases(data):
    interactions, split = data
    for batch in EvaluationLoader(interactions, split.valid, row_length=12, scores_mib=0.1):
        for row, case in enumerate(batch.case.tolist()):
            end = split.valid.target[case]
            known = interactions.item[interactions.start[case] : end]
            assert batch.target[row] == interactions.item[end]
            assert batch.exclusion[row, : len(known)].tolist() == known.tolist()
            assert batch.exclusion[row, len(known) :].sum() == 0
            length = int(batch.history.length[row])
            assert length == min(12, len(known))
            assert batch.history.item[row, :length].tolist() == known[-length:].tolist()
            assert batch.history.item[row, length:].sum() == 0


def test_steps_obey_the_memory_bound(data):
    interactions, split = data
    loader = EvaluationLoader(interactions, split.test, row_length=9, scores_mib=0.1)
    largest = max(len(q.target) for q in loader)
    assert largest * interactions.num_items * 4 <= 0.1 * 2**20
    assert len(loader) == len(list(loader))


def test_an_empty_history_is_refused(twelve):
    cases = Cases(np.array([3], np.int32), np.array([11]), np.zeros(1, bool))
    with pytest.raises(InputError, match="empty history"):
        EvaluationLoader(twelve, cases, row_length=4)


def test_a_batch_goes_with_its_parts_of_scores(data):
    interactions, split = data
    (batch,) = EvaluationLoader(interactions, split.test, row_length=9)
    scores = torch.randn(len(batch.case), 5)
    parts = list(batch.scored(scores.split(7)))
    assert [len(part.case) for part, _ in parts] == [7] * 14 + [3]
    for name in ("target", "exclusion", "case"):
        assert torch.equal(torch.cat([getattr(part, name) for part, _ in parts]), getattr(batch, name))
    assert torch.equal(torch.cat([part.history.item for part, _ in parts]), batch.history.item)
    assert torch.equal(torch.cat([part.history.length for part, _ in parts]), batch.history.length)
    assert torch.equal(torch.cat([part for _, part in parts]), scores)


def test_a_case_without_scores_is_an_error(twelve, twelve_split):
    (batch,) = EvaluationLoader(twelve, twelve_split.test, row_length=3)
    with pytest.raises(AssertionError, match="1 rows of scores for 2 cases"):
        list(batch.scored([torch.zeros(1, 6)]))


def test_questions_move_to_a_device(twelve, twelve_split):
    (batch,) = EvaluationLoader(twelve, twelve_split.test, row_length=3)
    assert batch.to(torch.device("meta")).history.item.device.type == "meta"
