"""What a dry run counts before anything is made."""

import pytest

from pte.engine.dry_run import _attention


@pytest.mark.parametrize(
    ("knobs", "floats"),
    [({"length": 50, "layers": 2, "heads": 2}, 3 * 4 * 50**2), ({"length": 50, "ridge": 1}, 0),
     ({"length": 50, "encoder": {"layers": 1, "heads": 4}}, 3 * 4 * 50**2),
     ({"length": 99, "reader": {"length": 40, "layers": 2, "heads": 2}, "memory": {"length": 50}}, 3 * 4 * 40**2)],
)  # fmt: skip
def test_attention_weights_are_those_of_the_part_that_attends(knobs, floats):
    """4 bytes each of weights, dropout and gradients, layers times heads, of the shorter of row and history."""
    assert _attention(knobs, 60) == 4 * floats
    assert _attention(knobs, 10) == (4 * 3 * 4 * 10**2 if floats else 0)
