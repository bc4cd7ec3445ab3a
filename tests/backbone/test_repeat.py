"""What standing in the history is worth: by hand, at both ends, and without a trace where the history is left out."""

import numpy as np
import pytest
import torch

from pte.backbone.expert import repeat
from pte.nn.batch import History

HISTORY = History(torch.tensor([[1, 2, 1], [4, 0, 0]]), torch.tensor([3, 1]))
SCORE = torch.tensor([[2.0, 1.0, 0.5, -1.0, 0.0], [0.0, 1.0, 2.0, 3.0, -2.0]])


@pytest.mark.parametrize(
    ("item", "start", "share"),
    [
        ([1, 2, 1, 3, 3], [0, 3, 5], 2.5 / 4 * 3 / (2 * 2.5 / 4 + 1)),  # both repeats are last
        ([1, 1, 2, 3, 4], [0, 3, 5], 1.5 / 4 / (2 * 1.5 / 4 + 1)),  # the only one is not
        ([1, 2, 3], [0, 3], 0.5 / 3 / (0.5 / 3 + 1)),
        ([1, 2], [0, 1, 2], 0.5),  # sequences of one row say nothing
    ],
)
def test_share_of_last_rows_that_repeat(item, start, share):
    assert repeat.repeat_share(np.array(item), np.array(start)) == pytest.approx(share)


def test_padding_names_no_item_outside_the_history():
    assert repeat.places(HISTORY).tolist() == [[0, 1, 0], [3, 3, 3]]


def test_odds_by_hand():
    found = repeat.odds(SCORE, HISTORY, 2)
    e = np.exp
    assert found[0] == pytest.approx(np.log(e(2) + e(1)) - np.log(e(0.5) + e(0)))
    assert found[1] == pytest.approx(3 - np.log(e(2) + e(1)))


def test_where_last_rows_repeat_as_all_do_their_share_is_that_of_all():
    item, start = np.tile([1, 2, 3, 1], 10_000), np.arange(0, 40_001, 4)
    item[3::8] = 4  # half of the last rows repeat, a sixth of all later ones
    assert repeat.repeat_share(item, start) == pytest.approx(0.5, rel=1e-3)
    assert repeat.repeat_share(np.tile([1, 1], 100), np.arange(0, 201, 2)) < 1


def test_candidates_are_the_best_outside_the_history():
    target = torch.tensor([3, 5])  # of the first case's 3, 4, 5 and the second's 1, 2, 3, 5
    assert repeat.is_candidate(SCORE, HISTORY, target, 1).tolist() == [True, False]
    assert repeat.is_candidate(SCORE, HISTORY, target, 4).tolist() == [True, True]
    assert repeat.is_candidate(SCORE, HISTORY, torch.tensor([5, 1]), 2).tolist() == [True, False]


@pytest.mark.parametrize("share", [1e-6, 0.07, 0.5, 0.9])
def test_offset_gives_repeats_their_share(share):
    log_odds = repeat.odds(SCORE, HISTORY, 2)
    r = repeat.offset(log_odds, share)
    assert float(torch.sigmoid(log_odds + r).mean()) == pytest.approx(share, rel=1e-6)


def test_users_who_never_come_back_push_the_history_to_the_end():
    log_odds = repeat.odds(SCORE, HISTORY, 2)
    assert repeat.offset(log_odds, 1e-9) < -15
