"""Ids of a file against ids of the data: every miss counted, and refused beyond a share."""

import pytest

from pte.dataset.table.by_id import Tolerance, match
from pte.schema import InputError


def found(ids, missing=0.0, unknown=0.0):
    tolerance = Tolerance(group="profiler", missing_share=missing, unknown_share=unknown)
    return match(ids, ["a", "b", "c", "d"], noun="item", file="x.csv", tolerance=tolerance)


def test_rows_find_their_places_and_misses_are_counted():
    got = found(["c", "x", "a", "c", "x"], missing=0.5, unknown=1 / 3)
    assert got.place.tolist() == [2, -1, 0, 2, -1]
    assert (got.missing, got.unknown) == (2, 1)
    assert got.summary("item", 4) == "2 of 4 items found, 1 ids of the file unknown"


@pytest.mark.parametrize(
    ("ids", "shares", "words"),
    [(["a", "b", "c"], {}, "1 of 4 items of the data are missing from it, such as 'd'"),
     (["a", "b", "c", "d", "x"], {}, "1 of 5 ids in it are no items, such as 'x'; more than profiler.unknown_share"),
     (["a"], {"missing": 0.7}, "profiler.missing_share=0.75"), ([], {"missing": 0.9}, "missing_share=1"),
     (["1", "2"], {"missing": 1.0}, "look like 'a'")],
)  # fmt: skip
def test_too_many_misses_are_refused(ids, shares, words):
    with pytest.raises(InputError, match=words):
        found(ids, **shares)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_nothing_and_all(share):
    with pytest.raises(InputError, match=r"encoder.missing_share"):
        Tolerance(group="encoder", missing_share=share, unknown_share=0)
