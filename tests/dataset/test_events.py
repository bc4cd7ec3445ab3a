"""Repeats, ties and low ratings of rows on their way to a table, by hand."""

import numpy as np
import pytest

from pte.dataset.events import Choice, CodedColumn, Events, select_rows, without_repeats
from pte.schema import InputError


def test_repeats_by_hand():
    user, item = np.array([0, 0, 1, 0, 1]), np.array([2, 2, 2, 1, 2])
    rows = np.array([3, 1, 0, 4, 2])  # in the order of time
    assert without_repeats(user, item, rows, keep="first").tolist() == [3, 1, 4]
    assert without_repeats(user, item, rows, keep="last").tolist() == [3, 0, 2]


def test_rows_leave_in_full_resolution_of_time():
    column = CodedColumn(["a", "b", "c"], np.array([0, 1, 2], np.int32))
    frame = select_rows(column, column, np.array([1900, 1100, 1100]), Choice(), k=1, unit=1000, low=0, counts={})
    assert frame["item_id"].to_list() == ["b", "c", "a"]
    assert frame["time"].to_list() == [1, 1, 1]
    assert frame["row"].to_list() == [1, 2, 3]


def test_low_ratings_and_nothing_left():
    events = Events(Choice(min_rating=4))
    for item, rating in [("a", 3.5), ("b", 4.0), ("c", 5.0)]:
        events.append("u", item, 7, rating)
    counts = {}
    assert events.table(1, counts)["item_id"].to_list() == ["b", "c"]
    assert counts == {"rows rated below 4 left out": 1}
    with pytest.raises(InputError, match="min_rating"):
        Events(Choice()).table(1, {})


def test_ties_by_item_or_by_file():
    user = CodedColumn(["u"], np.zeros(3, np.int32))
    item = CodedColumn(["c", "a", "b"], np.array([0, 1, 2], np.int32))
    time = np.array([5, 5, 4])
    for ties, expected in {"file": ["b", "c", "a"], "item_id": ["b", "a", "c"]}.items():
        frame = select_rows(user, item, time, Choice(ties=ties), k=1, unit=1, low=0, counts={})
        assert frame["item_id"].to_list() == expected
