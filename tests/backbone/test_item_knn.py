"""Item cosines: by hand, and what must not move them."""

import math

import numpy as np
import pytest
import torch

from pte.backbone.item_knn import ItemKNN, ownership
from pte.nn.batch import History
from pte.schema import InputError

ITEM, START = np.array([1, 2, 3, 2, 1, 1, 4]), np.array([0, 3, 5, 7])  # 1 2 3 | 2 1 | 1 4


def knn(**knobs) -> ItemKNN:
    own = {"shrink": 1.0, "recency": 0.5, "fallback": 0.0}
    return ItemKNN(representation=None, num_items=5, length=50, **own | knobs)


def test_scores_by_hand():
    model = knn()
    model.fit(ITEM, START)
    s12, s13, s14, s23 = 2 / (math.sqrt(6) + 1), 1 / (math.sqrt(3) + 1), 1 / (math.sqrt(3) + 1), 1 / (math.sqrt(2) + 1)
    expected = torch.tensor([[s12, 0.5 * s12, 0.5 * s13 + s23, 0.5 * s14, 0]])
    torch.testing.assert_close(model.score(History(torch.tensor([[1, 2]]), torch.tensor([2]))), expected)


def test_order_and_repeats_within_a_sequence_do_not_matter():
    score = []
    for item, start in ((ITEM, START), (np.array([3, 1, 2, 2, 1, 2, 4, 4, 1]), np.array([0, 4, 6, 9]))):
        model = knn(fallback=0.1)
        model.fit(item, start)
        score.append(model.score(History(torch.tensor([[2, 4]]), torch.tensor([2]))))
    torch.testing.assert_close(*score)


def test_ownership_is_zero_or_one():
    owned = ownership(np.array([2, 2, 1]), np.array([0, 2, 3]), 2)
    assert owned.toarray().tolist() == [[0, 1], [1, 0]]


def test_strangers_are_ordered_by_popularity():
    model = knn(fallback=1e-3)
    model.fit(ITEM, START)
    score = model.score(History(torch.tensor([[4]]), torch.tensor([1])))[0]  # 4 was bought with 1 only
    assert score[0] > score[1] > score[2] > score[4] == 0


def test_mistakes_are_reported():
    with pytest.raises(InputError, match="recency=-1"):
        knn(recency=-1)
    with pytest.raises(InputError, match="shrink=-2"):
        knn(shrink=-2)
    with pytest.raises(RuntimeError, match="fit comes before score"):
        knn().score(History(torch.tensor([[1]]), torch.tensor([1])))
