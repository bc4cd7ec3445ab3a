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
    [([1, 2, 1, 3, 3], [0, 3, 5], (2 + 0.5) / 4), ([1, 2, 3], [0, 3], 0.5 / 3), ([1, 2], [0, 1, 2], 0.5)],
)
def test_share_of_rows_that_repeat(item, start, share):
    assert repeat.repeat_share(np.array(item), np.array(start)) == pytest.approx(share)


def test_padding_names_no_item_outside_the_history():
    assert repeat.places(HISTORY).tolist() == [[0, 1, 0], [3, 3, 3]]


def test_odds_by_hand():
    found = repeat.odds(SCORE, HISTORY, 2)
    e = np.exp
    assert found[0] == pytest.approx(np.log(e(2) + e(1)) - np.log(e(0.5) + e(0)))
    assert found[1] == pytest.approx(3 - np.log(e(2) + e(1)))


@pytest.mark.parametrize("share", [1e-6, 0.07, 0.5, 0.9])
def test_offset_gives_repeats_their_share(share):
    log_odds = repeat.odds(SCORE, HISTORY, 2)
    r = repeat.offset(log_odds, share)
    assert float(torch.sigmoid(log_odds + r).mean()) == pytest.approx(share, rel=1e-6)


def test_users_who_never_come_back_push_the_history_to_the_end():
    log_odds = repeat.odds(SCORE, HISTORY, 2)
    assert repeat.offset(log_odds, 1e-9) < -15
