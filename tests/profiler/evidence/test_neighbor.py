"""Neighbours against hand counts and the plainest loops."""

import math

import numpy as np
import pytest
from scipy import sparse

from pte.profiler.evidence.neighbor import (
    blocks,
    incidence,
    item_neighbors,
    next_items,
    pair_counts,
    pair_sums,
    rows_by_item,
    shifted_ppmi,
    top,
    user_neighbors,
)
from pte.schema import Items, View


def make_view(histories: list[list[int]], num_items: int) -> View:
    names = ["", *(f"item {i}" for i in range(1, num_items + 1))]
    items = Items(names, names, {})
    user = np.repeat(np.arange(len(histories)), [len(h) for h in histories]).astype(np.int32)
    return View(user, np.array([i for h in histories for i in h], np.int32), len(histories), items)


def random_view(seed: int, users: int = 40, num_items: int = 15) -> View:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, 9, users)
    return make_view([generator.integers(1, num_items + 1, n).tolist() for n in lengths], num_items)


def test_pairs_within_a_window_by_hand():
    """1 2 3 1 with window 2: (1,2) (2,3) (3,1) at one place, (1,3) (2,1) at two; 1 beside itself counts nothing."""
    counts = pair_counts(make_view([[1, 2, 3, 1], [2]], 3), window=2).toarray()
    assert counts.tolist() == [[0, 0, 0, 0], [0, 0, 2, 2], [0, 2, 0, 1], [0, 2, 1, 0]]
    ahead = pair_counts(make_view([[1, 2, 3, 1], [2]], 3), window=2, ahead=True).toarray()
    assert ahead.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 0, 0]]


def test_pairs_do_not_cross_users():
    assert pair_counts(make_view([[1], [2], [3]], 3), window=5).nnz == 0


def test_ppmi_by_hand():
    """Counts (1,2): 3, (1,3): 1; sums 4, 3, 1 of 8. PMI(1,2) = log(3 * 8 / (4 * 3)) = log 2, times 3 / (3 + 1)."""
    counts = pair_counts(make_view([[1, 2]] * 3 + [[1, 3]], 3), window=5)
    value = shifted_ppmi(counts, negatives=1.0, smoothing=1.0, shrink=1.0).toarray()
    assert value[1, 2] == pytest.approx(math.log(2) * 3 / 4)
    assert value[1, 3] == pytest.approx(math.log(2) * 1 / 2)
    assert value[2, 3] == 0
    shifted = shifted_ppmi(counts, negatives=2.0, smoothing=1.0, shrink=0.0)
    assert shifted.nnz == 0, "log 2 is shifted away"


def test_smoothing_raises_rare_contexts_less():
    counts = pair_counts(make_view([[1, 2]] * 3 + [[1, 3]], 3), window=5)
    plain, smooth = (shifted_ppmi(counts, negatives=1.0, smoothing=s, shrink=0.0).toarray() for s in (1.0, 0.75))
    assert plain[1, 3] - plain[1, 2] == pytest.approx(0)
    assert smooth[1, 3] < smooth[1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_user_neighbors_equal_the_plain_loop(seed):
    view = random_view(seed)
    sets = [set(view.item[view.start[u] : view.start[u + 1]].tolist()) for u in range(view.num_users)]
    found = user_neighbors(view, 4, products=50)
    for u, mine in enumerate(sets):
        cosine = {v: round(len(mine & s) / math.sqrt(len(mine) * len(s)), 6) for v, s in enumerate(sets) if mine & s}
        cosine.pop(u, None)
        expected = sorted(cosine, key=lambda v: (-cosine[v], v))[:4]
        assert found.of(u) == expected


def test_a_user_without_rows_has_no_neighbors():
    found = user_neighbors(make_view([[1, 2], [], [2, 1]], 2), 3)
    assert [found.of(u) for u in range(3)] == [[2], [], [0]]


def test_top_is_sorted_and_ties_go_to_the_smaller_index():
    view = make_view([[1, 2], [1, 3], [1, 4], [1, 4]], 4)
    counts = pair_counts(view, window=1)
    assert top(counts, 2, none=0).of(1) == [4, 2]
    assert top(counts, 9, none=0).of(2) == [1]
    shuffled = sparse.csr_matrix((np.ones(3), np.array([3, 1, 2]), np.array([0, 3])), shape=(1, 4))
    assert top(shuffled, 3, none=0).of(0) == [1, 2, 3]


def test_neighbors_do_not_change_when_users_are_renumbered():
    view = random_view(5)
    histories = [view.item[view.start[u] : view.start[u + 1]].tolist() for u in range(view.num_users)]
    again = make_view(histories[::-1], view.num_items)
    assert np.array_equal(item_neighbors(view, 5).index, item_neighbors(again, 5).index)


@pytest.mark.parametrize("direction", ["", "ahead", "behind"])
@pytest.mark.parametrize("seed", range(2))
def test_blocks_of_items_give_what_the_whole_matrix_gives(seed, direction):
    view = random_view(seed)
    counts = pair_counts(view, window=3, ahead=direction == "ahead", behind=direction == "behind")
    whole = top(shifted_ppmi(counts, negatives=1.0, smoothing=0.75, shrink=2.0), 4, none=0)
    found = item_neighbors(view, 4, window=3, direction=direction, most=40)
    assert np.array_equal(found.index, whole.index)
    assert np.allclose(found.weight, whole.weight)
    assert np.array_equal(item_neighbors(view, 4, window=3, direction=direction).index, whole.index), "one block"


def test_sums_are_those_of_the_matrix():
    view = random_view(3)
    for ahead in (False, True):
        counts = pair_counts(view, window=2, ahead=ahead)
        row, column = pair_sums(view, window=2, ahead=ahead)
        assert np.array_equal(row, np.asarray(counts.sum(1)).ravel())
        assert np.array_equal(column, np.asarray(counts.sum(0)).ravel())


def test_blocks_hold_about_so_much_work_and_every_row():
    assert blocks(np.array([3, 3, 9, 0, 1, 1]), 5) == [range(0, 2), range(2, 3), range(3, 6)]
    assert blocks(np.zeros(0), 5) == []


def test_before_and_after():
    before, after = next_items(make_view([[1, 2, 3]] * 3, 3), 3, window=1)
    assert (before.of(2), after.of(2)) == ([1], [3])
    assert (before.of(1), after.of(3)) == ([], [])


def test_repeated_choices_count_once_in_incidence():
    assert incidence(make_view([[1, 1, 2]], 2)).toarray().tolist() == [[0, 1, 1]]


def test_rows_by_item_puts_those_first_for_whom_it_is_recent():
    """Item 1: last of user 1, second last of user 2, first of three of user 0."""
    start, user, from_end = rows_by_item(make_view([[1, 2, 3], [1], [1, 2]], 3))
    assert user[start[1] : start[2]].tolist() == [1, 2, 0]
    assert from_end[start[1] : start[2]].tolist() == [0, 1, 2]
    assert user[start[3] : start[4]].tolist() == [0]


def test_an_empty_view_has_no_neighbors():
    view = make_view([[], []], 3)
    assert item_neighbors(view, 2).index.tolist() == [[0, 0]] * 4
    assert user_neighbors(view, 2).index.tolist() == [[-1, -1]] * 2


def test_an_item_everybody_chose_is_no_likeness():
    """Item 1 has four people, item 2 two of them: with at most three people an item, 2 alone makes neighbours."""
    items = Items([""] * 3, [""] * 3, {})
    view = View(np.array([0, 0, 1, 1, 2, 3], np.int32), np.array([1, 2, 1, 2, 1, 1], np.int32), 4, items)
    found = user_neighbors(view, 2, most=3)
    assert [found.of(u) for u in range(4)] == [[1], [0], [], []]
    assert found.weight[0, 0] == pytest.approx(0.5), "its length counts: 1 / (sqrt 2 * sqrt 2)"
    assert len(user_neighbors(view, 2).of(2)) == 2
