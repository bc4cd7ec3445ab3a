"""Coverage, exposure, popularity, diversity and calibration, each on lists worked out by hand."""

import numpy as np
import pytest

from pte.metric import beyond

LISTS = np.array([[1, 2], [1, 3]])


def test_coverage_counts_items_once():
    assert beyond.coverage(LISTS, 4) == 0.75
    assert beyond.exposure(LISTS, 4).tolist() == [2, 1, 1, 0]


def test_gini_by_hand():
    # ascending 0, 1, 1, 2 with weights -3, -1, 1, 3: (0 - 1 + 1 + 6) / (4 * 4)
    assert beyond.gini(LISTS, 4) == pytest.approx(6 / 16)
    assert beyond.gini(np.array([[1, 2], [3, 4]]), 4) == 0
    assert beyond.gini(np.array([[3], [3]]), 4) == pytest.approx(3 / 4)


def test_popularity_by_hand():
    popularity = np.array([10, 4, 2, 0])
    assert beyond.average_popularity(LISTS, popularity) == (10 + 4 + 10 + 2) / 4
    histories = [np.array([3]), np.array([2, 2, 2])]  # means 2 and 4, so 3 a user
    assert beyond.popularity_lift(LISTS, histories, popularity) == pytest.approx(6.5 / 3 - 1)
    with pytest.raises(ValueError, match="none of them empty"):
        beyond.popularity_lift(LISTS, [np.array([3]), np.array([], int)], popularity)


def test_diversity_by_vector_by_hand():
    vectors = np.array([[2.0, 0], [0, 3], [-1, 0], [5, 0]])
    assert beyond.diversity_by_vector(LISTS, vectors) == pytest.approx((1 + 2) / 2)
    assert beyond.diversity_by_vector(np.array([[1, 4]]), vectors) == pytest.approx(0)
    assert beyond.diversity_by_vector(np.array([[1, 2, 4]]), vectors) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="two items"):
        beyond.diversity_by_vector(np.array([[1]]), vectors)
    with pytest.raises(ValueError, match="zeros"):
        beyond.diversity_by_vector(LISTS, vectors * 0)


def test_diversity_by_category_by_hand():
    categories = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    assert beyond.diversity_by_category(LISTS, categories) == pytest.approx((0.5 + 1) / 2)
    assert beyond.diversity_by_category(np.array([[1, 2, 3]]), categories) == pytest.approx((0.5 + 1 + 1) / 3)


def test_calibration_by_hand():
    categories = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)
    same = beyond.calibration(np.array([[1, 2]]), [np.array([3])], categories)
    assert same == pytest.approx(0)
    # p = (.75, .25) of items 1 and 3; q = (0, 1) of item 2; smoothed by .1: (.075, .925)
    found = beyond.calibration(np.array([[2]]), [np.array([1, 3])], categories, smoothing=0.1)
    assert found == pytest.approx(0.75 * np.log(0.75 / 0.075) + 0.25 * np.log(0.25 / 0.925))
    with pytest.raises(ValueError, match="no user"):
        beyond.calibration(np.array([[4]]), [np.array([1])], categories)


@pytest.mark.parametrize("lists", [np.array([[0, 1]]), np.array([[1, 5]]), np.array([[2, 2]]), np.zeros((0, 2), int)])
def test_what_is_no_list_is_refused(lists):
    with pytest.raises(ValueError, match="list"):
        beyond.coverage(lists, 4)
