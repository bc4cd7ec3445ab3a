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


def test_what_became_of_completions_is_one_line():
    shares = {"unusable_share": 0.1, "refused_share": 0.05, "cut_share": 0.22, "fallback_share": 0.02}
    sentence = fmt.completions({"completions": 480, **shares})
    assert sentence.startswith("of 480 completions 10.0% were unusable (5.0% refused) and 22.0% cut at the token limit")
    assert fmt.completions(None) == fmt.completions({"completions": 0}) == ""
