"""Markup, entities, page code, categories and prices of crawled shop pages, against texts written by hand."""

import pytest

from pte.dataset.reader.plaintext import category_path, category_paths, plain, price_bucket, shortened, title_text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("&lt;b&gt;Bold&lt;/b&gt; &amp;quot;x&amp;quot;", 'Bold "x"'),
        ("a<br>b\r\n\tc\xa0d\u200b", "a b c d"),
        ("5 < 6 and 7 > 6, <3", "5 < 6 and 7 > 6, <3"),
        ("<style>.a{b:c}</style>Kept<script>var x='<b>'", "Kept"),
        ("AT&T &unknown; R&amp;D", "AT&T &unknown; R&D"),
        (["one", None, "two"], "one two"),
        (None, ""),
        (3.5, ""),
    ],
)
def test_plain_text(raw, text):
    assert plain(raw) == text


def test_text_is_cut_between_words():
    assert shortened("alpha beta gamma", 12) == "alpha beta"
    assert shortened("alpha beta gamma", 10) == "alpha beta"
    assert shortened("alphabet", 5) == "alpha"
    assert shortened("alpha", 5) == shortened("alpha", None) == "alpha"


def test_titles_categories_and_prices():
    assert title_text("var aPageStart = (new Date()).getTime();") == ""
    assert category_path(["A", "A", "</span>", "B &amp; C"]) == "A > B & C"
    assert category_paths([["A"], ["A"], "junk", []]) == "A"
    assert category_paths(None) == category_path("A") == ""
    prices = [4.99, 5, "$24.99", "$1,234.50", "$7.00 - $30.00", "from 12.00", "", "None", None, 0, True, "x{1}", 1e999]
    assert [price_bucket(p) for p in prices] == [
        "under $5", "$5 to $10", "$10 to $25", "$1000 and more", "$5 to $10", "$10 to $25", *[""] * 7,
    ]  # fmt: skip
