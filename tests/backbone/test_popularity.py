"""The same list for everyone, by training counts."""

import numpy as np
import torch

from pte.backbone.popularity import Popularity
from pte.nn.batch import History


def test_scores_are_shares_of_the_largest_count():
    model = Popularity(representation=None, num_items=4)
    model.fit(np.array([3, 1, 3, 3, 2, 1]), np.array([0, 2, 6]))
    score = model.score(History(torch.tensor([[1, 2], [4, 0]]), torch.tensor([2, 1])))
    torch.testing.assert_close(score, torch.tensor([[2 / 3, 1 / 3, 1.0, 0.0]]).expand(2, -1))
    score[0, 0] = 9  # scores are the caller's own
    assert model.score(History(torch.tensor([[1]]), torch.tensor([1])))[0, 0] == torch.tensor(2 / 3)


def test_no_training_row_gives_zeros():
    model = Popularity(representation=None, num_items=2)
    model.fit(np.zeros(0, np.int64), np.zeros(1, np.int64))
    assert model.score(History(torch.tensor([[1]]), torch.tensor([1]))).tolist() == [[0, 0]]
