"""Cosines with the recency-weighted history of text vectors."""

import math

import numpy as np
import pytest
import torch
from helper.text_knn import Frozen
from torch import nn

from pte.backbone.text_knn import TextKNN
from pte.nn.batch import History
from pte.schema import InputError

VECTORS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
ITEM, START = np.array([1, 2, 4, 4, 6]), np.array([0, 3, 5])  # items 4 and 6 have no text


class Learned(Frozen):
    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__(vectors)
        self.weight = nn.Parameter(vectors)


def knn(vectors=VECTORS, representation=Frozen, **knobs) -> TextKNN:
    own = {"recency": 0.5, "fallback": 0.0}
    n = len(vectors) - 1
    model = TextKNN(representation=representation(vectors), num_items=n, length=50, **own | knobs)
    model.fit(ITEM, START)
    return model


def history(*items: int) -> History:
    return History(torch.tensor([items]), torch.tensor([len(items)]))


def test_scores_by_hand():
    # u = (.5, 1) / |(.5, 1)|
    u = (0.5 / math.sqrt(1.25), 1 / math.sqrt(1.25))
    expected = torch.tensor([[u[0], u[1], 0.6 * u[0] + 0.8 * u[1], -2, -u[0], -2]])
    torch.testing.assert_close(knn().score(history(1, 2)), expected)


def test_items_without_text_stand_last_by_popularity():
    score = knn(fallback=1e-3).score(history(1, 4))[0]
    assert score[3] > score[5]  # item 4 was bought twice, item 6 once
    assert score[[0, 1, 2, 4]].min() > score[3]


def test_a_history_without_text_leaves_popularity():
    score = knn(fallback=1e-3).score(history(4, 4))[0]
    torch.testing.assert_close(score[[0, 1, 2, 4]], torch.tensor([0.5e-3, 0.5e-3, 0, 0]))


def test_rotating_and_scaling_the_vectors_changes_nothing():
    c, s = math.cos(0.7), math.sin(0.7)
    turned = VECTORS @ torch.tensor([[c, -s], [s, c]]) * torch.linspace(1, 4, 7)[:, None]
    torch.testing.assert_close(knn(turned).score(history(2, 1)), knn().score(history(2, 1)))


def test_mistakes_are_reported():
    with pytest.raises(InputError, match=r"14 numbers.*representation.head=none"):
        knn(representation=Learned)
    with pytest.raises(InputError, match="type representation=llm_only"):
        knn(representation=type("Id", (Learned,), {"uses_text": False}))
    with pytest.raises(InputError, match="recency=3"):
        knn(recency=3)
