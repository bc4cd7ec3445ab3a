"""How numbers are written at their edges."""

import pytest

from pte.report import format as fmt


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "<.001"), (0.001, ".001"), (0.05, ".050"), (0.9994, ".999"), (2000 / 2001, "1"), (1.0, "1")],
)
def test_p_values(p, text):
    """0.9995 rounds to 1, not to .000: the least significant of all is not the most significant."""
    assert fmt.p_value(p) == text


@pytest.mark.parametrize(("value", "text"), [(0.06064, ".0606"), (0.99996, "1.0000"), (1.0, "1.0000"), (0.0, ".0000")])
def test_figures(value, text):
    assert fmt.plain(value) == text
