"""The ten best items of a case, and the figures of all lists together."""

import numpy as np
import pytest
import torch

from pte.metric.lists import best_items, category_table, summarise_lists


def test_the_best_unseen_items_come_first_and_ties_in_order():
    scores = torch.tensor([[5.0, 9, 7, 7, 1, 7], [1, 1, 1, 1, 1, 1]])
    seen = torch.tensor([[2, 0], [1, 2]])
    assert best_items(scores, seen, 3).tolist() == [[3, 4, 6], [3, 4, 5]]
    assert best_items(-scores, seen, 3).tolist() == [[5, 1, 3], [3, 4, 5]]


def test_a_list_that_cannot_be_filled_is_zeros():
    scores = torch.tensor([[3.0, 2, 1], [3, 2, 1]])
    assert best_items(scores, torch.tensor([[1, 1], [1, 2]]), 2).tolist() == [[2, 3], [0, 0]]
    assert best_items(scores, torch.tensor([[1, 1], [1, 2]]), 4).tolist() == [[0] * 4] * 2


def test_best_items_against_a_plain_sort():
    draw = torch.Generator().manual_seed(0)
    for high in (3, 1000):  # many ties, few ties
        scores = torch.randint(0, high, (40, 200), generator=draw).float()
        seen = torch.randint(0, 201, (40, 7), generator=draw)
        for row, found in enumerate(best_items(scores, seen, 10).tolist()):
            free = [i for i in range(1, 201) if i not in set(seen[row].tolist())]
            assert found == sorted(free, key=lambda i: (-float(scores[row, i - 1]), i))[:10]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["", "a > b | a > c", "b", ""], [2 + 1, 1, 0]),
        (["", "a, b", "b > c", "a"], [1, 2, 1]),
        (["", "a, b", ""], [2, 0]),
    ],
)
def test_categories_of_paths_and_of_words(entries, words):
    assert category_table({"brand": ["x"] * 4, "genres": entries}).sum(axis=1).tolist() == words
    assert category_table({"brand": ["", "x"]}) is None
    assert category_table({"categories": ["", "", ""]}) is None


def test_figures_by_hand():
    lists, histories = np.array([[1, 2], [1, 3], [0, 0]]), [np.array([4]), np.array([4, 2]), np.array([4])]
    categories = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], bool)
    found = summarise_lists(lists, histories, np.array([4, 2, 0, 2]), categories=categories)
    assert found["masked/all/Coverage@2"] == 0.75  # the third case has no list
    assert found["masked/all/AveragePopularity@2"] == (4 + 2 + 4 + 0) / 4
    assert found["masked/all/PopularityLift@2"] == pytest.approx(2.5 / 2 - 1)
    assert found["masked/all/CategoryDiversity@2"] == pytest.approx((1 + 0) / 2)
    assert "masked/all/VectorDiversity@2" not in found
    vectors = np.array([[1.0, 0], [0, 1], [1, 0], [0, 0]])  # the last is recommended to nobody
    assert summarise_lists(lists, histories, np.array([4, 2, 0, 2]), vectors=vectors)[
        "masked/all/VectorDiversity@2"
    ] == pytest.approx(0.5)
    assert summarise_lists(lists[2:], histories[2:], np.zeros(4)) == {}
