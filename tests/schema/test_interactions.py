"""Items found by the words of their titles."""

import pytest

from pte.schema import Items

ITEMS = Items(["", "a", "b", "c"], ["", "Heat (1995)", "Heat", "Dead Heat"], {})


@pytest.mark.parametrize(
    ("words", "items"),
    [("heat", [2]), (" HEAT (1995) ", [1]), ("eat", [1, 2, 3]), ("dead", [3]), ("fargo", []), ("", []), (" ", [])],
)
def test_the_whole_title_goes_before_a_part_of_it(words, items):
    assert ITEMS.titled(words) == items
